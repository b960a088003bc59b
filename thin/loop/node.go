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

	"thintree/thin/blockdev"
)

// host says where the device nodes are.
type host struct{ dev string }

var system = host{dev: "/dev"}

// sysfs is where the kernel describes each loop device, by its name.
const sysfs = "/sys/block"

// NodeError says that /dev lacks the node of a loop device that the kernel has, as in a
// container with its own /dev.
type NodeError struct {
	Path   string // where the node would be
	Number string // the device's number: "7:3"
}

func (e *NodeError) Error() string {
	major, minor, _ := strings.Cut(e.Number, ":")
	return fmt.Sprintf("%s: the kernel has this loop device, but its node is missing (/dev has no devtmpfs or udev, as in a container): make it with mknod %s b %s %s",
		e.Path, e.Path, major, minor)
}

// Unwrap makes errors.Is(err, fs.ErrNotExist) true.
func (e *NodeError) Unwrap() error { return fs.ErrNotExist }

// nameOf is the name of a device's node. The error wraps ENXIO if there is no such device.
func (h host) nameOf(number uint64) (string, error) {
	text, err := os.ReadFile(blockdev.Sysfs(number) + "/uevent")
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no loop device has the number %s: %w", blockdev.Text(number), unix.ENXIO)
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "DEVNAME="); ok {
			return strings.TrimSuffix(name, "\n"), nil
		}
	}
	return "", fmt.Errorf("device %s: no DEVNAME in its uevent", blockdev.Text(number))
}

// openNode opens the node of a loop device by name. The error wraps ENXIO if the device is
// gone.
func (h host) openNode(name string, flag int) (*os.File, error) {
	path := filepath.Join(h.dev, name)
	node, err := os.OpenFile(path, flag|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		number, err := os.ReadFile(filepath.Join(sysfs, name, "dev"))
		if err != nil {
			return nil, fmt.Errorf("%s is gone: %w", path, unix.ENXIO)
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
	if rdev := uint64(st.Sys().(*syscall.Stat_t).Rdev); st.Mode().Type() != fs.ModeDevice || unix.Major(rdev) != blockdev.LoopMajor {
		return nil, errors.Join(fmt.Errorf("%s is not the node of a loop device", path), node.Close())
	}
	return node, nil
}
