package mounts

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// longestAnswer is how long a tree may take to answer before it counts as one that does
// not answer.
const longestAnswer = 5 * time.Second

// Dead reports whether the process that served the tree at the path has ended. It is an
// error if the tree does not answer.
func (e Entry) Dead() (bool, error) {
	answer := make(chan error, 1)
	// Not stat(2): the kernel may answer that from its cache.
	go func() { answer <- unix.Statfs(e.Path, new(unix.Statfs_t)) }()
	select {
	case err := <-answer:
		// ECONNABORTED is the answer if the process ends meanwhile.
		return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED), nil
	case <-time.After(longestAnswer):
		return false, fmt.Errorf("a tree is mounted here whose thintree does not answer: thintree umount --lazy %s", e.Path)
	}
}

// RemoveDead removes the dead mounts of a device number, wherever they are. Other mounts
// at the same paths stay. So does a tree that is not dead: the kernel may have given it
// the number since.
func RemoveDead(major, minor int) error {
	mounts, err := mountinfo.GetMounts(treesOf(major, minor))
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range mounts {
		if err := removeDead(m); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Mountpoint, err))
		}
	}
	return errors.Join(errs...)
}

// removeDead removes one mount, if it is dead and nothing is mounted over it.
func removeDead(m *mountinfo.Info) error {
	// O_PATH asks nothing of the tree.
	f, err := os.OpenFile(m.Mountpoint, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	id, err := mountID(f)
	if err != nil {
		return err
	}
	if id != m.ID {
		return nil // something is mounted over it, and must be unmounted first
	}
	e := Entry{m.Mountpoint, m}
	if dead, err := e.Dead(); err != nil || !dead {
		return err
	}
	if os.Geteuid() == 0 {
		// By the descriptor, so that no other mount at the path is hit.
		return unix.Unmount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.MNT_DETACH)
	}
	return e.Detach(true)
}

// mountID is the id, as in mountinfo, of the mount that an open file is in.
func mountID(f *os.File) (int, error) {
	info, err := os.Open(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if err != nil {
		return 0, err
	}
	defer info.Close()
	for lines := bufio.NewScanner(info); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "mnt_id:"); ok {
			var id int
			_, err := fmt.Sscan(value, &id)
			return id, err
		}
	}
	return 0, fmt.Errorf("%s: no mnt_id", info.Name())
}
