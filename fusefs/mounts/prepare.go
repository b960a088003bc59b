package mounts

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Prepare checks a folder at which a tree is to be mounted, and returns its absolute path
// without links. A dead mount there is removed. A tree there that is not dead is an error.
func Prepare(mountpoint string) (string, error) {
	e, err := Find(mountpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: make the folder first", err)
	}
	if err != nil {
		return "", err
	}
	if e.IsTree() {
		dead, err := e.Dead()
		if err != nil {
			return "", fmt.Errorf("%s: %w", mountpoint, err)
		}
		if !dead {
			return "", fmt.Errorf("%s: a tree is mounted here already: thintree umount %s", mountpoint, mountpoint)
		}
		if err := e.Detach(true); err != nil {
			return "", fmt.Errorf("%s: removing the dead mount that a killed thintree left: %w", mountpoint, err)
		}
		return Prepare(mountpoint)
	}
	st, err := os.Stat(e.Path)
	if err != nil {
		return "", err
	}
	if !st.IsDir() {
		return "", fmt.Errorf("%s: not a folder, so nothing can be mounted on it", mountpoint)
	}
	return e.Path, nil
}

// CheckPermitted returns an error that says what to do if this user cannot mount a tree
// at a folder, or cannot let other users into it (allowOther).
func CheckPermitted(mountpoint string, allowOther bool) error {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("FUSE cannot be used: %w: is the module loaded (modprobe fuse), or the device passed into this container?", err)
	}
	dev.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermount(); err != nil {
		return err
	}
	const write = 2
	if err := syscall.Access(mountpoint, write); err != nil {
		return fmt.Errorf("%s: %w: a user other than root can mount only on a folder that they may write to", mountpoint, err)
	}
	if allowOther && !userAllowOther() {
		return errors.New("--allow-other: only root may, unless /etc/fuse.conf has the line user_allow_other")
	}
	return nil
}

func userAllowOther() bool {
	f, err := os.Open("/etc/fuse.conf")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}

// fusermount finds the program that mounts and unmounts for users other than root.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("fusermount3: not found: install the package fuse3, or run as root")
}
