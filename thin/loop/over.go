package loop

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Found is a loop device that is attached.
type Found struct {
	Path      string // its node: "/dev/loop3"
	Number    uint64 // its number, as unix.Mkdev gives it
	ReadOnly  bool
	Autoclear bool // it goes with its last descriptor
}

// Over lists the loop devices over the file at path, whatever names the file had
// when they were attached. The error is of the devices that could not be asked,
// as by whoever is not root: any of them may be over the file too. Those that
// could are listed all the same.
func Over(path string) ([]Found, error) { return system.over(path) }

func (h host) over(path string) ([]Found, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return nil, err
	}
	loops, err := filepath.Glob(filepath.Join(h.sys, "block/loop*"))
	if err != nil {
		return nil, err
	}
	var all []Found
	var errs []error
	for _, dir := range loops {
		if _, err := os.Lstat(filepath.Join(dir, "loop")); err != nil {
			continue // nothing is attached to it
		}
		// A tree that the file is not in is not asked: it may wait for this process.
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

// ask asks a loop device whether it is over a file.
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
		ReadOnly:  status.Flags&unix.LO_FLAGS_READ_ONLY != 0,
		Autoclear: status.Flags&unix.LO_FLAGS_AUTOCLEAR != 0,
	}, true, nil
}
