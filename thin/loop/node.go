package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// major is the major number of loop devices.
const major = 7

// host is where sysfs and the device nodes are.
type host struct{ sys, dev string }

var system = host{sys: "/sys", dev: "/dev"}

// NodeError says that the kernel has a loop device of which /dev has no node, as
// in a container with a /dev of its own.
type NodeError struct {
	Path   string // where the node would be
	Number string // of the device: "7:3"
}

func (e *NodeError) Error() string {
	major, minor, _ := strings.Cut(e.Number, ":")
	return fmt.Sprintf("%s: the kernel has this loop device, but the node is missing here (a /dev without devtmpfs or udev, as in a container): make it with mknod %s b %s %s",
		e.Path, e.Path, major, minor)
}

// Unwrap makes it a [fs.ErrNotExist].
func (e *NodeError) Unwrap() error { return fs.ErrNotExist }

func numberText(number uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number))
}

// nameOf is a device's name, that of its node. The error wraps ENXIO where there
// is no such device.
func (h host) nameOf(number uint64) (string, error) {
	text, err := os.ReadFile(filepath.Join(h.sys, "dev/block", numberText(number), "uevent"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no loop device has the number %s: %w", numberText(number), unix.ENXIO)
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "DEVNAME="); ok {
			return strings.TrimSuffix(name, "\n"), nil
		}
	}
	return "", fmt.Errorf("device %s: no DEVNAME in its uevent", numberText(number))
}

// openNode opens the node of a loop device by name. The error wraps ENXIO where
// the device has gone.
func (h host) openNode(name string, flag int) (*os.File, error) {
	path := filepath.Join(h.dev, name)
	node, err := os.OpenFile(path, flag|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		number, err := os.ReadFile(filepath.Join(h.sys, "block", name, "dev"))
		if err != nil {
			return nil, fmt.Errorf("%s has gone: %w", path, unix.ENXIO)
		}
		return nil, &NodeError{Path: path, Number: strings.TrimSpace(string(number))}
	}
	if err != nil {
		return nil, err
	}
	st, err := node.Stat()
	if err != nil {
		return nil, errors.Join(err, node.Close())
	}
	if rdev := uint64(st.Sys().(*syscall.Stat_t).Rdev); st.Mode().Type() != fs.ModeDevice || unix.Major(rdev) != major {
		return nil, errors.Join(fmt.Errorf("%s is not the node of a loop device", path), node.Close())
	}
	return node, nil
}
