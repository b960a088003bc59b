package dm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// NodePath is where the block device of a number is: /dev/dm-N.
func NodePath(number uint64) string { return fmt.Sprintf("/dev/dm-%d", unix.Minor(number)) }

// makeNode makes the node where neither the kernel (devtmpfs) nor udev has, as in
// a container.
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
		os.Remove(path) // of another number: left by somebody, as the kernel makes none here
	}
	return &os.PathError{Op: "mknod", Path: path, Err: fs.ErrExist}
}

// LinkPath is where people look for the block device of a name.
func LinkPath(name string) string { return "/dev/" + unix.DM_DIR + "/" + name }

// makeLink makes the link by name where udev has not.
func makeLink(name string, number uint64) error {
	path := LinkPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var err error
	for range 2 { // udev can be making it, too
		if isNode(path, number) {
			return nil
		}
		os.Remove(path) // what an earlier device of this name has left
		if err = os.Symlink(filepath.Join("..", filepath.Base(NodePath(number))), path); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return err
}

// traces are the link and the node of a device. Where there is no udev and no
// devtmpfs, nobody else removes them.
type traces struct {
	name   string
	number uint64 // 0: there are none
}

// traces are those of a device that is still there.
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

// remove removes them once the device has gone.
func (t traces) remove() {
	if t.removeLink(); t.number == 0 {
		return
	}
	// The number is soon given to a new device. Where the kernel made the node, it
	// has removed it, and what is there now is that device's.
	const sysfs = "/sys/dev/block"
	if node := NodePath(t.number); isNode(node, t.number) && exists(sysfs) &&
		!exists(fmt.Sprintf("%s/%d:%d", sysfs, unix.Major(t.number), unix.Minor(t.number))) {
		os.Remove(node)
	}
}

// removeLink removes the link, and tells whether there was one.
func (t traces) removeLink() bool {
	if t.number == 0 {
		return false
	}
	link := LinkPath(t.name)
	to, err := os.Readlink(link)
	// Without udev dmsetup makes a node in its place.
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
