package inuse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/resolve"
)

// attached is an attached loop device.
type attached struct {
	path     string // where its node is, or would be: "/dev/loop3"
	number   uint64 // as unix.Mkdev makes it
	readOnly bool
}

// over lists the loop devices over the file with these numbers, also if they were attached by
// another name of the file. A loop device that cannot be opened, because the process is not root
// for example, is listed if sysfs shows a path of the file for it. Otherwise over returns an error
// along with the list: such a device may be attached to the file too.
func (h host) over(dev, ino uint64) ([]attached, error) {
	dirs, err := filepath.Glob(filepath.Join(h.sys, "block/loop*"))
	if err != nil {
		return nil, err
	}
	var all []attached
	var errs []error
	for _, dir := range dirs {
		if _, err := os.Lstat(filepath.Join(dir, "loop")); err != nil {
			continue // nothing is attached to it
		}
		// A file in another mounted tree is a different file. It is not looked up: that could
		// wait for this process.
		backing, _ := blockdev.LoopFile(dir) // an error means that it was detached meanwhile
		if resolve.InOtherTree(backing, dev) {
			continue
		}
		is, err := h.isOver(filepath.Base(dir), backing, dev, ino)
		switch {
		case errors.Is(err, unix.ENXIO): // detached meanwhile
		case err != nil:
			errs = append(errs, err)
		case is:
			l, err := h.loopIn(dir)
			all, errs = append(all, l), append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

// isOver reports whether a loop device is over a file. It asks the loop device. If that is not
// allowed, it looks at the path that sysfs shows. If the file was deleted, the kernel adds
// " (deleted)" to the path, which then names no file or another one.
func (h host) isOver(name, backing string, dev, ino uint64) (bool, error) {
	path := filepath.Join(h.dev, name)
	status, err := loopStatus(path)
	if err == nil {
		return status.Device == dev && status.Inode == ino, nil
	}
	if errors.Is(err, unix.ENXIO) {
		return false, err
	}
	st, statErr := resolve.Stat(backing)
	if statErr == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && uint64(st.Dev) == dev && st.Ino == ino {
		return true, nil
	}
	return false, fmt.Errorf("whether %s is attached to the file is not known: %w", path, err)
}

// loopStatus is the status of the loop device with a node. The error wraps ENXIO if it is not
// attached.
func loopStatus(node string) (*unix.LoopInfo64, error) {
	f, err := os.OpenFile(node, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return blockdev.LoopStatus(int(f.Fd()), node)
}

// loopIn is the loop device that sysfs describes in a folder.
func (h host) loopIn(dir string) (attached, error) {
	number, err := blockdev.Parse(attribute(dir, "dev"))
	return attached{path: filepath.Join(h.dev, filepath.Base(dir)), number: number, readOnly: attribute(dir, "ro") == "1"}, err
}

// attribute is what a file of sysfs says, "" if it is gone.
func attribute(dir, name string) string {
	text, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(text))
}
