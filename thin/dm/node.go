package dm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
)

// NodePath is the path of the node of the device with a number: /dev/dm-N.
func NodePath(number uint64) string { return fmt.Sprintf("/dev/dm-%d", unix.Minor(number)) }

// makeNode makes a device's node if neither the kernel (devtmpfs) nor udev has, as in a
// container.
func makeNode(number uint64) error {
	path := NodePath(number)
	for range 2 {
		if isNode(path, number) {
			return nil
		}
		err := unix.Mknod(path, unix.S_IFBLK|0o600, int(number))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return &os.PathError{Op: "mknod", Path: path, Err: err}
		}
		if isNode(path, number) {
			return nil
		}
		os.Remove(path) // a stale node with another number: the kernel makes none here
	}
	return &os.PathError{Op: "mknod", Path: path, Err: fs.ErrExist}
}

// LinkPath is the path of the link to the device of a name: /dev/mapper/NAME.
func LinkPath(name string) string { return "/dev/" + unix.DM_DIR + "/" + name }

// makeLink makes the link by name if udev has not.
func makeLink(name string, number uint64) error {
	path := LinkPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var err error
	for range 2 { // udev may make it at the same time
		if isNode(path, number) {
			return nil
		}
		os.Remove(path) // left by an earlier device of this name
		if err = os.Symlink(filepath.Join("..", filepath.Base(NodePath(number))), path); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return err
}

// traces are the link and the node of a device. On a host without udev and devtmpfs nothing
// else removes them.
type traces struct {
	name   string
	number uint64 // 0 if there are none
}

// traces returns the traces of a device that exists.
func (c *Client) traces(ctx context.Context, name string) traces {
	if !c.host {
		return traces{}
	}
	info, err := c.Info(ctx, name)
	if err != nil {
		return traces{}
	}
	return traces{name, info.Number}
}

// remove removes the link and the node, once the device is gone.
func (t traces) remove() {
	if t.removeLink(); t.number == 0 {
		return
	}
	// A new device may have the number already. If the kernel makes nodes, it has removed
	// the old one, and this node is the new device's.
	sysfs := blockdev.Sysfs(t.number)
	if node := NodePath(t.number); isNode(node, t.number) && exists(filepath.Dir(sysfs)) && !exists(sysfs) {
		os.Remove(node)
	}
}

// removeLink removes the link, and reports whether there was one.
func (t traces) removeLink() bool {
	if t.number == 0 {
		return false
	}
	link := LinkPath(t.name)
	to, err := os.Readlink(link)
	// Without udev, dmsetup makes a node instead of a link.
	if err == nil && filepath.Base(to) == filepath.Base(NodePath(t.number)) || err != nil && isNode(link, t.number) {
		return os.Remove(link) == nil
	}
	return false
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isNode(path string, number uint64) bool {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == number
}
