package fusefs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
)

// order is the argument of an ioctl of a tree's root folder, by which whoever serves
// it is asked to unmount a volume. In it stands whether that is to be lazy, and the
// volume's name; afterwards, what prevented it, "" where nothing did.
type order [orderBytes]byte

const orderBytes = 4096

// unmountVolume is the ioctl's number: _IOWR('T', 0xf0, order) of linux/ioctl.h.
const unmountVolume = 3<<30 | orderBytes<<16 | 'T'<<8 | 0xf0

const lazily = 1

// put writes a flag and a text, which is cut where it is too long.
func (o *order) put(flag byte, text string) {
	*o = order{flag}
	copy(o[1:len(o)-1], text)
}

func (o *order) get() (flag byte, text string) {
	b, _, _ := bytes.Cut(o[1:], []byte{0})
	return o[0], string(b)
}

// UnmountVolume has the tree at a folder close one of its volumes now. It is found
// by its name, as [tree.Tree.Evict] does, or by a path below the folder. A lazy
// unmount has files that are open, and that the kernel reads itself, read errors.
func UnmountVolume(mountpoint, name string, lazy bool) error {
	where, _, err := mine(mountpoint)
	if err != nil {
		return err
	}
	if gone, err := dead(where); err != nil {
		return fmt.Errorf("%s: %w", mountpoint, err)
	} else if gone {
		return fmt.Errorf("%s: what served the tree was killed, and no volume of it is open: thintree umount %s", mountpoint, mountpoint)
	}
	given, err := filepath.Abs(mountpoint)
	if err != nil {
		return err
	}
	for _, above := range []string{where, given} {
		name = strings.TrimPrefix(name, above+"/")
	}
	var o order
	var flag byte
	if lazy {
		flag = lazily
	}
	o.put(flag, name)
	if err := o.send(where); err != nil {
		return fmt.Errorf("%s: %w", mountpoint, err)
	}
	if _, why := o.get(); why != "" {
		return fmt.Errorf("%s: %s", mountpoint, why)
	}
	return nil
}

// send has the tree at a folder do it.
func (o *order) send(where string) error {
	root, err := os.OpenFile(where, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: do it as the user who mounted it", err)
	}
	if err != nil {
		return err
	}
	defer root.Close()
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), unmountVolume, uintptr(unsafe.Pointer(o)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR: // any signal does that
		case unix.ENOTTY:
			return errors.New("what serves the tree is of another version of thintree, which cannot unmount a volume")
		default:
			return errno
		}
	}
}

// Ioctl knows the one by which a volume is unmounted. Root may, and who has mounted
// the tree.
func (s *server) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, given []byte, _ *fuse.IoctlOut, answer []byte) fuse.Status {
	var o order
	switch {
	case in.Cmd != unmountVolume || tree.NodeID(in.NodeId) != tree.RootID:
		return fuse.Status(unix.ENOTTY)
	case in.Uid != 0 && int(in.Uid) != os.Geteuid():
		return fuse.EPERM
	case len(given) != len(o) || len(answer) != len(o):
		return fuse.EINVAL
	}
	copy(o[:], given)
	flag, name := o.get()
	err := s.tree.Evict(request{cancel}, name, flag == lazily)
	if errors.Is(err, context.Canceled) {
		return fuse.EINTR
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	s.log.Info("asked to unmount a volume", "volume", name, "lazy", flag == lazily, "error", why)
	o.put(0, why)
	copy(answer, o[:])
	return fuse.OK
}
