package kernelfs

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// clone clones a mount of the filesystem, at the first site that works.
//
// While the kernel walks to the owner's mount, the owner's umount fails with EBUSY for an
// instant, as it does beside any access to a mount point.
func (l *live) clone(ctx context.Context) (*os.File, error) {
	last := l.cloned.Load()
	if last != nil {
		if root, err := l.cloneAt(*last); err == nil {
			return root, nil
		}
	}
	failed := ErrNotMounted
	for s := range l.sites() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		root, err := l.cloneAt(s)
		if err == nil {
			l.cloned.Store(&s)
			return root, nil
		}
		failed = fmt.Errorf("%w (%s in the mount namespace of process %s: %v)", ErrNotMounted, s.path, s.process, err)
	}
	return nil, fmt.Errorf("%s on block device %s: %w", l.fstype, l.number(), failed)
}

// cloneAt clones the mount at a site, if it is one of the filesystem.
func (l *live) cloneAt(s site) (*os.File, error) {
	var mount int
	err := s.enter(func() (err error) {
		mount, err = unix.OpenTree(unix.AT_FDCWD, s.path,
			unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_NO_AUTOMOUNT|unix.AT_SYMLINK_NOFOLLOW)
		return os.NewSyscallError("open_tree", err)
	})
	if err != nil {
		return nil, err
	}
	err = unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: harmless, Attr_clr: unix.MOUNT_ATTR__ATIME})
	if err != nil {
		unix.Close(mount)
		return nil, os.NewSyscallError("mount_setattr", err)
	}
	root, err := rootOf(mount, s.path)
	if err != nil {
		return nil, err
	}
	if err := l.verify(root); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}
