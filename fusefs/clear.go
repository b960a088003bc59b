package fusefs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Device is the device number of the mount, by which [Clear] knows it.
func (m *Mount) Device() (major, minor int) { return m.major, m.minor }

// AwaitUnmount waits until no tree of a device number is mounted.
func AwaitUnmount(major, minor int) error {
	const path = "/proc/self/mountinfo"
	table, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(table)
	for {
		mounts, err := treesOf(major, minor)
		if err != nil || len(mounts) == 0 {
			return err
		}
		changes := []unix.PollFd{{Fd: int32(table), Events: unix.POLLPRI}}
		if _, err := unix.Poll(changes, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

// treesOf are the mounts of trees that have a device number.
func treesOf(major, minor int) ([]*mountinfo.Info, error) {
	return mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !isTree(m) || m.Major != major || m.Minor != minor, false
	})
}

// Clear takes away the dead mounts of a device number, wherever they are: those of
// a tree whose process is gone. What else is mounted at the same paths by now
// stays, and so does a tree that lives: it can have got the number since.
func Clear(major, minor int) error {
	mounts, err := treesOf(major, minor)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range mounts {
		if err := clear(m); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Mountpoint, err))
		}
	}
	return errors.Join(errs...)
}

// clear takes one mount away, if it is still what is seen at its path.
func clear(m *mountinfo.Info) error {
	// To open it as a place asks nothing of the tree, which is dead.
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
		return nil // something lies over it: that goes first
	}
	if gone, err := dead(m.Mountpoint); err != nil || !gone {
		return err
	}
	if os.Geteuid() == 0 {
		// By the descriptor, so that it is this mount and no other.
		return unix.Unmount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.MNT_DETACH)
	}
	return detach(m.Mountpoint, true)
}

// mountID is the number, as in mountinfo, of the mount that an open file is in.
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
