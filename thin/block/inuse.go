package block

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/resolve"
)

// InUse returns the device of this host that uses the file or block device at path, so that
// its bytes may change at any time. For a block device that is a device stacked on it or on
// one of its partitions, such as by device-mapper or md. For a regular file it is a loop
// device over it. The name is for a message ("dm-3 (docker-pool)", "loop0"); it is "" if there
// is none. Mounts and read-only loop devices do not count.
//
// InUse does not need root. But if the caller may not open a loop device, the loop device is
// only found while its file is at the path where it was attached, and visible to the caller.
func InUse(path string) (string, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return "", err
	}
	if err := checkKind(path, st.Mode); err != nil {
		return "", err
	}
	return host{sys: "/sys", dev: "/dev"}.inUse(identify(st))
}

// LentPrefix begins the names of the device-mapper devices that thintree itself reads through.
// Nobody writes to them, so InUse does not count them.
const LentPrefix = "thintree-lent-"

// host is where sysfs and the device nodes are.
type host struct{ sys, dev string }

func (h host) inUse(id Identity) (string, error) {
	if id.Rdev != 0 {
		return h.holder(id.Rdev)
	}
	return h.loop(id)
}

// holder finds what is stacked on a block device, or on a partition of it.
func (h host) holder(rdev uint64) (string, error) {
	dir := filepath.Join(h.sys, "dev/block", blockdev.Text(rdev))
	to, err := os.Readlink(dir)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil // there is no sysfs, as in some containers
	}
	if err != nil {
		return "", err
	}
	for _, pattern := range []string{"holders/*", filepath.Base(to) + "*/holders/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		for _, f := range found {
			if name := filepath.Base(f); !strings.HasPrefix(h.dmName(name), LentPrefix) {
				return h.describe(name), nil
			}
		}
	}
	return "", nil
}

// loop finds the loop device over a regular file.
func (h host) loop(id Identity) (string, error) {
	all, err := filepath.Glob(filepath.Join(h.sys, "block/loop*"))
	if err != nil {
		return "", err
	}
	for _, dir := range all {
		file, name := filepath.Join(dir, "loop/backing_file"), filepath.Base(dir)
		if _, err := os.Lstat(file); err != nil {
			continue // nothing is attached to it
		}
		// The path may lie in another mounted tree. Looking there could wait for this
		// process.
		if resolve.InOtherTree(backingPath(file), id.Dev) {
			continue
		}
		if h.loopIs(name, file, id) && !h.readOnly(name) {
			return h.describe(name), nil
		}
	}
	return "", nil
}

// loopIs reports whether a loop device is over a file. It asks the loop device, or if that is
// not allowed, looks at the path that sysfs shows. If the file was deleted, the kernel adds
// " (deleted)" to the path, which then names no file or another one.
func (h host) loopIs(name, backingFile string, id Identity) bool {
	if node, err := os.OpenFile(filepath.Join(h.dev, name), os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		defer node.Close()
		if info, err := unix.IoctlLoopGetStatus64(int(node.Fd())); err == nil {
			return info.Device == id.Dev && info.Inode == id.Ino
		}
	}
	st, err := resolve.Stat(backingPath(backingFile))
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && identify(st) == id
}

// backingPath is the path of a loop device's file, as sysfs shows it. It is "" if the loop
// device was detached meanwhile.
func backingPath(backingFile string) string {
	text, _ := os.ReadFile(backingFile)
	return strings.TrimSuffix(string(text), "\n")
}

func (h host) readOnly(name string) bool {
	text, err := os.ReadFile(filepath.Join(h.sys, "block", name, "ro"))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// describe adds the device-mapper name of a device, if it has one.
func (h host) describe(name string) string {
	if dm := h.dmName(name); dm != "" {
		return name + " (" + dm + ")"
	}
	return name
}

func (h host) dmName(name string) string {
	text, err := os.ReadFile(filepath.Join(h.sys, "block", name, "dm/name"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
