package fusefs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// fsType is what /proc/self/mountinfo calls a mounted tree.
const fsType = "fuse.thintree"

// Prepare looks at a folder where a tree is to be mounted, and gives its path
// without links. The mount that a killed thintree left there is taken away; a
// live one is an error.
func Prepare(mountpoint string) (string, error) {
	where, on, err := find(mountpoint)
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
		return "", fmt.Errorf("%w: make the folder first", err)
	}
	if !st.IsDir() {
		return "", fmt.Errorf("%s: not a folder, so nothing can be mounted on it", mountpoint)
	}
	return where, nil
}

// Unmount unmounts the tree at a folder, a dead one too. It is an error when
// none is mounted there. EBUSY means that files in it are open; a lazy unmount
// takes it from the namespace all the same.
func Unmount(mountpoint string, lazy bool) error {
	where, err := mine(mountpoint)
	if err != nil {
		return err
	}
	err = detach(where, lazy)
	if errors.Is(err, syscall.EBUSY) {
		if gone, _ := dead(where); gone {
			err = detach(where, true)
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

// mine gives the path, without links, of a tree that this user may unmount.
func mine(mountpoint string) (where string, err error) {
	where, on, err := find(mountpoint)
	if err != nil {
		return "", err
	}
	if !isTree(on) {
		return "", fmt.Errorf("%s: no thintree is mounted here", mountpoint)
	}
	if user := mounter(on); os.Geteuid() != 0 && user != os.Geteuid() {
		return "", fmt.Errorf("%s: mounted by user %d: only they and root can unmount it", mountpoint, user)
	}
	return where, nil
}

// find resolves the links in a path, but never asks a mounted tree itself, which
// may be dead, and gives the topmost mount there, nil where there is none.
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
	// The last link of a path can lead to a dead tree, which must not be asked, so
	// links are followed by hand.
	for range maxLinks {
		up, err := filepath.EvalSymlinks(filepath.Dir(where))
		if err != nil {
			return "", nil, err
		}
		where = filepath.Join(up, filepath.Base(where))
		if on := topmost(where); isTree(on) {
			return where, on, nil
		}
		to, err := os.Readlink(where)
		if err != nil {
			return where, topmost(where), nil // no link
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(up, to)
		}
		where = to
	}
	return "", nil, fmt.Errorf("%s: %w", mountpoint, syscall.ELOOP)
}

// maxLinks is how many links a path may lead through, as the kernel has it.
const maxLinks = 40

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

func isTree(on *mountinfo.Info) bool { return on != nil && on.FSType == fsType }

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
