package mounts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unmount unmounts the tree at a folder, also a dead one. It is an error if no tree is
// mounted there, or if this user may not unmount it. The error unwraps to EBUSY if files
// in the tree are open. A lazy unmount removes the tree from the namespace even then. If
// the tree does not answer, a lazy unmount also frees the processes that wait for it.
func Unmount(mountpoint string, lazy bool) error {
	e, err := FindOwn(mountpoint)
	if err != nil {
		return err
	}
	if lazy {
		if _, err := e.Dead(); err != nil {
			if err := e.abort(); err != nil {
				return fmt.Errorf("%s: its thintree does not answer, and the processes that wait for it cannot be freed: %w", mountpoint, err)
			}
		}
	}
	err = e.Detach(lazy)
	if errors.Is(err, syscall.EBUSY) {
		dead, noAnswer := e.Dead()
		if dead {
			err = e.Detach(true)
		} else if noAnswer != nil {
			return noAnswer
		}
	}
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s: %w: a process has a file or folder open in it: thintree umount --lazy %s", mountpoint, err, mountpoint)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", mountpoint, err)
	}
	return nil
}

// abort frees the processes that wait for a tree.
func (e Entry) abort() error {
	c, err := e.Connection()
	if errors.Is(err, errUnmounted) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Abort()
}

// Detach unmounts what is mounted at the path: as root by itself, otherwise by
// fusermount3. The error is EBUSY if files in it are open, unless lazy.
func (e Entry) Detach(lazy bool) error {
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		return unix.Unmount(e.Path, flags)
	}
	program, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u", e.Path}
	if lazy {
		args = []string{"-u", "-z", e.Path}
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case strings.Contains(string(out), "busy"):
		return syscall.EBUSY
	}
	return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
}
