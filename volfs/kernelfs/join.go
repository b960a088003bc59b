package kernelfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// joins are the filesystems of which a mount can be had by the number of the device,
// whoever has it mounted and where: asked for a new mount, the kernel gives one of
// the superblock that it has for the device already, and leaves the options aside.
// Where it has none any more it would make one, and may write then; so among the
// options are some that it only looks at then, and always refuses.
var joins = map[string]joining{
	"ext2": ext4Joining,
	"ext3": ext4Joining,
	"ext4": ext4Joining,
	// logbufs is at least 2: xfs_fs_validate_params, before anything is read.
	"xfs": {sysfs: "xfs", as: []string{"xfs"}, refused: []option{{key: "norecovery"}, {key: "logbufs", value: "1"}}},
}

// In block 0 of ext4 is no superblock, nor can there be one in place of it: it is the
// boot sector, or the one that begins at byte 1024 is behind that. What ext4 has
// mounted, it has as ext4, ext3 or ext2, and finds again only as that.
var ext4Joining = joining{
	sysfs: "ext4", as: []string{"ext4", "ext3", "ext2"}, refused: []option{{key: "noload"}, {key: "sb", value: "0"}},
}

type joining struct {
	sysfs   string   // the folder of /sys/fs with a folder for each mounted device
	as      []string // the kernel's names of the type
	refused []option
}

// join mounts the filesystem once more.
func (l *live) join() (*os.File, error) {
	j, ok := joins[l.fstype]
	if !ok {
		return nil, ErrNotMounted
	}
	// Without this the device would be opened for nothing.
	if _, err := os.Stat(filepath.Join("/sys/fs", j.sysfs, l.name)); err != nil {
		return nil, fmt.Errorf("%w (%v)", ErrNotMounted, err)
	}
	// A superblock is found by who says rightly whether it is read-only, and is
	// busy for others. Any other error says that there is none any more, and the
	// device is not to be tried again: that could be in the way of its next mount.
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
