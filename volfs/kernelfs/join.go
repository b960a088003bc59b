package kernelfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// joins are the filesystems that can be mounted once more by their device, wherever the
// owner has mounted them. If the kernel has a superblock for the device already, it makes
// the new mount from that, and ignores the options. If the owner has unmounted it, the
// kernel would read the device again, and might write to it. So the options contain some
// that it always refuses then.
var joins = map[string]joining{
	"ext2": ext4Joining,
	"ext3": ext4Joining,
	"ext4": ext4Joining,
	// logbufs is at least 2: xfs_fs_validate_params, before anything is read.
	"xfs": {sysfs: "xfs", as: []string{"xfs"}, refused: []option{{key: "norecovery"}, {key: "logbufs", value: "1"}}},
}

// Block 0 of an ext4 cannot be a superblock, as that begins at byte 1024, so the kernel
// refuses sb=0. The kernel finds the mounted superblock only under the type that it was
// mounted as: ext4, ext3 or ext2.
var ext4Joining = joining{
	sysfs: "ext4", as: []string{"ext4", "ext3", "ext2"}, refused: []option{{key: "noload"}, {key: "sb", value: "0"}},
}

type joining struct {
	sysfs   string   // the folder of /sys/fs with a folder for each mounted device
	as      []string // the kernel's names for the type
	refused []option
}

// join mounts the filesystem once more, by its device.
func (l *live) join() (*os.File, error) {
	j, ok := joins[l.fstype]
	if !ok {
		return nil, ErrNotMounted
	}
	// If it is not mounted, fsconfig would open the device in vain.
	if _, err := os.Stat(filepath.Join("/sys/fs", j.sysfs, l.name)); err != nil {
		return nil, fmt.Errorf("%w (%v)", ErrNotMounted, err)
	}
	// The kernel finds the superblock only if the request has the right access, ro or rw.
	// Otherwise it returns EBUSY. Any other error says that the owner has unmounted the
	// filesystem. Trying again could disturb the owner's next mount.
	access := []string{"rw", "ro"}
	err := error(unix.EBUSY)
	for i, last, n := 0, int(l.joined.Load()), len(j.as)*len(access); i < n && errors.Is(err, unix.EBUSY); i++ {
		way := (last + i) % n
		opts := append([]option{{key: access[way%len(access)]}}, j.refused...)
		var root *os.File
		if root, err = l.mountAgain(j.as[way/len(access)], opts); err == nil {
			l.joined.Store(int32(way))
			return root, nil
		}
	}
	return nil, err
}

func (l *live) mountAgain(fstype string, opts []option) (*os.File, error) {
	conf, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen "+fstype, err)
	}
	defer unix.Close(conf)
	if err := configure(conf, l.node, "", opts); err != nil {
		return nil, err
	}
	mount, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, harmless)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	root, err := rootOf(mount, l.node.Name())
	if err != nil {
		return nil, err
	}
	if err := l.verify(root); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}
