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

	"thintree/fusefs/mounts"
	"thintree/fusefs/tree"
)

// unmountRequest is the argument of an ioctl of a tree's root folder, which asks the
// process that serves the tree to unmount a volume. The request is a flag and the
// volume's name. The answer is the error, "" if there is none.
type unmountRequest [requestBytes]byte

const requestBytes = 4096

// unmountVolume is the ioctl's number: _IOWR('T', 0xf0, unmountRequest) of linux/ioctl.h.
const unmountVolume = 3<<30 | requestBytes<<16 | 'T'<<8 | 0xf0

// lazily is the flag of a lazy unmount.
const lazily = 1

// put writes a flag and a text. A text that is too long is cut.
func (r *unmountRequest) put(flag byte, text string) {
	*r = unmountRequest{flag}
	copy(r[1:len(r)-1], text)
}

func (r *unmountRequest) get() (flag byte, text string) {
	b, _, _ := bytes.Cut(r[1:], []byte{0})
	return r[0], string(b)
}

// UnmountVolume closes a volume of the tree at a folder. The volume is given by its name,
// as for [tree.Tree.Evict], or by a path below the folder. After a lazy unmount, reads of
// open files that are passed through fail.
func UnmountVolume(folder, volume string, lazy bool) error {
	served, err := mounts.FindOwn(folder)
	if err != nil {
		return err
	}
	if dead, err := served.Dead(); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	} else if dead {
		return fmt.Errorf("%[1]s: the thintree that served the tree was killed, and no volume of it is open: thintree umount %[1]s", folder)
	}
	given, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	for _, above := range []string{served.Path, given} {
		volume = strings.TrimPrefix(volume, above+"/")
	}
	var r unmountRequest
	var flag byte
	if lazy {
		flag = lazily
	}
	r.put(flag, volume)
	if err := r.send(served.Path); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	if _, why := r.get(); why != "" {
		return fmt.Errorf("%s: %s", folder, why)
	}
	return nil
}

// send sends the request to the tree at a path, and receives the answer.
func (r *unmountRequest) send(path string) error {
	root, err := os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: do it as the user who mounted it", err)
	}
	if err != nil {
		return err
	}
	defer root.Close()
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), unmountVolume, uintptr(unsafe.Pointer(r)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR: // any signal interrupts it
		case unix.ENOTTY:
			return errors.New("the tree is served by another version of thintree, which cannot unmount a volume")
		default:
			return errno
		}
	}
}

// Ioctl answers an unmount request. Root may send it, and the user who mounted the tree.
func (s *server) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, given []byte, _ *fuse.IoctlOut, answer []byte) fuse.Status {
	var r unmountRequest
	switch {
	case in.Cmd != unmountVolume || tree.NodeID(in.NodeId) != tree.RootID:
		return fuse.Status(unix.ENOTTY)
	case in.Uid != 0 && int(in.Uid) != os.Geteuid():
		return fuse.EPERM
	case len(given) != len(r) || len(answer) != len(r):
		return fuse.EINVAL
	}
	copy(r[:], given)
	flag, volume := r.get()
	err := s.tree.Evict(request{cancel}, volume, flag == lazily)
	if errors.Is(err, context.Canceled) {
		return fuse.EINTR
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	s.log.Info("asked to unmount a volume", "volume", volume, "lazy", flag == lazily, "error", why)
	r.put(0, why)
	copy(answer, r[:])
	return fuse.OK
}
