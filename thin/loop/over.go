package loop

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Found is an attached loop device.
type Found struct {
	Path     string // the path of its node: "/dev/loop3"
	Number   uint64 // as unix.Mkdev makes it
	ReadOnly bool
}

// Over lists the loop devices that are attached to the file at path, also if they were
// attached by another name of the file. If some devices cannot be opened, because the
// process is not root for example, Over returns an error along with the list. Any of those
// devices may be attached to the file too.
func Over(path string) ([]Found, error) { return system.over(path) }

func (h host) over(path string) ([]Found, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return nil, err
	}
	loops, err := filepath.Glob(filepath.Join(sysfs, "loop*"))
	if err != nil {
		return nil, err
	}
	var all []Found
	var errs []error
	for _, dir := range loops {
		if _, err := os.Lstat(filepath.Join(dir, "loop")); err != nil {
			continue // nothing is attached to it
		}
		// A file in another tree is a different file. It is not looked up: that tree may
		// wait for this process.
		if backing, err := backingPath(dir); err == nil && resolve.InOtherTree(backing, uint64(st.Dev)) {
			continue
		}
		found, ok, err := h.ask(filepath.Base(dir), uint64(st.Dev), st.Ino)
		switch {
		case errors.Is(err, unix.ENXIO): // detached meanwhile
		case err != nil:
			errs = append(errs, err)
		case ok:
			all = append(all, found)
		}
	}
	return all, errors.Join(errs...)
}

// ask reports whether a loop device is attached to the file dev, ino.
func (h host) ask(name string, dev, ino uint64) (found Found, ok bool, err error) {
	node, err := h.openNode(name, os.O_RDONLY)
	if err != nil {
		return Found{}, false, err
	}
	d, err := newDevice(node)
	if err != nil {
		return Found{}, false, err
	}
	defer d.Close()
	status, err := statusOf(node)
	if err != nil || status.Device != dev || status.Inode != ino {
		return Found{}, false, err
	}
	return Found{
		Path: d.Path(), Number: d.Number(),
		ReadOnly: status.Flags&unix.LO_FLAGS_READ_ONLY != 0,
	}, true, nil
}
