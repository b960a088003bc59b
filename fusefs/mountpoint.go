package fusefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Prepare looks at a folder where a tree is to be mounted, and gives its path
// without links. The mount that a killed thintree left there is taken away; a
// live one is an error.
func Prepare(mountpoint string) (string, error) {
	where, on, err := find(mountpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: make the folder first", err)
	}
	if err != nil {
		return "", err
	}
	if isTree(on) {
		gone, err := dead(where)
		if err != nil {
			return "", fmt.Errorf("%s: %w", mountpoint, err)
		}
		if !gone {
			return "", fmt.Errorf("%s: a tree is mounted here already: thintree umount %s", mountpoint, mountpoint)
		}
		if err := detach(where, true); err != nil {
			return "", fmt.Errorf("%s: what a killed thintree left mounted: %w", mountpoint, err)
		}
		return Prepare(mountpoint)
	}
	st, err := os.Stat(where)
	if err != nil {
		return "", err
	}
	if !st.IsDir() {
		return "", fmt.Errorf("%s: not a folder, so nothing can be mounted on it", mountpoint)
	}
	return where, nil
}

// Unmount unmounts the tree at a folder, a dead one too. It is an error when
// none is mounted there. EBUSY means that files in it are open; a lazy unmount
// takes it from the namespace all the same, and frees who waits for a tree that does
// not answer.
func Unmount(mountpoint string, lazy bool) error {
	where, on, err := mine(mountpoint)
	if err != nil {
		return err
	}
	if lazy {
		if _, err := dead(where); err != nil {
			if err := abort(on); err != nil {
				return fmt.Errorf("%s: what serves it does not answer, and who waits for it cannot be freed: %w", mountpoint, err)
			}
		}
	}
	err = detach(where, lazy)
	if errors.Is(err, syscall.EBUSY) {
		gone, noAnswer := dead(where)
		if gone {
			err = detach(where, true)
		} else if noAnswer != nil {
			return noAnswer
		}
	}
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s: %w: somebody has a file or folder open in it: thintree umount --lazy %s", mountpoint, err, mountpoint)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", mountpoint, err)
	}
	return nil
}

// abort frees who waits for a mounted tree.
func abort(on *mountinfo.Info) error {
	c, err := openConnection(on)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Abort()
}

// mine gives a tree that this user may unmount, and its path without links.
func mine(mountpoint string) (where string, on *mountinfo.Info, err error) {
	where, on, err = find(mountpoint)
	if err != nil {
		return "", nil, err
	}
	if !isTree(on) {
		return "", nil, fmt.Errorf("%s: no thintree is mounted here", mountpoint)
	}
	if user := mounter(on); os.Geteuid() != 0 && user != os.Geteuid() {
		return "", nil, fmt.Errorf("%s: mounted by user %d: only they and root can unmount it", mountpoint, user)
	}
	return where, on, nil
}

// find resolves the links in a path, but never asks the tree that is mounted there,
// which may be dead, and gives the topmost mount there, nil if there is none.
func find(mountpoint string) (where string, on *mountinfo.Info, err error) {
	if where, err = filepath.Abs(mountpoint); err != nil {
		return "", nil, err
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return "", nil, err
	}
	topmost := func(path string) (on *mountinfo.Info) {
		for _, m := range mounts {
			if m.Mountpoint == path {
				on = m
			}
		}
		return on
	}
	if on := topmost(where); isTree(on) {
		return where, on, nil
	}
	if where, err = resolve.Real(where); err != nil {
		return "", nil, err
	}
	return where, topmost(where), nil
}

// mounter is the user who mounted a tree.
func mounter(on *mountinfo.Info) int {
	for o := range strings.SplitSeq(on.VFSOptions, ",") {
		if id, ok := strings.CutPrefix(o, "user_id="); ok {
			user, _ := strconv.Atoi(id)
			return user
		}
	}
	return 0
}

func isTree(on *mountinfo.Info) bool { return on != nil && on.FSType == resolve.TreeType }

// answer is how long a live thintree takes at most to tell that it lives.
const answer = 5 * time.Second

// dead tells whether the process that served a mount is gone. Stat would not do:
// the kernel may still answer it by itself.
func dead(where string) (bool, error) {
	told := make(chan error, 1)
	go func() { told <- unix.Statfs(where, new(unix.Statfs_t)) }()
	select {
	case err := <-told:
		// ECONNABORTED where it went while it was asked.
		return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED), nil
	case <-time.After(answer):
		return false, fmt.Errorf("a tree is mounted here whose thintree does not answer: thintree umount --lazy %s", where)
	}
}

// detach unmounts, as root or with fusermount3.
func detach(where string, lazy bool) error {
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		return unix.Unmount(where, flags)
	}
	program, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u", where}
	if lazy {
		args = []string{"-u", "-z", where}
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
