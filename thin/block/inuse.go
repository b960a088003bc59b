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

// InUse tells which device of this host has the file or block device at path
// active, so that its bytes may change at any time: one that device-mapper, md
// or the like has stacked on a block device or one of its partitions, or a loop
// device over a regular file. It returns its name for a message ("dm-3
// (docker-pool)", "loop0"), and "" where there is none. Mounts do not count, and
// neither does a loop device that is read-only.
//
// It needs no root, but a user who may not open a loop device does not see that
// it is over a file that was renamed or deleted since, or is not visible to
// this user at the path where it was attached.
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

// LentPrefix begins the names of device-mapper devices through which thintree
// itself reads, and nobody writes: they do not count.
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
		return "", nil // without sysfs, as in some containers, nobody can tell
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
		// A tree that the file is not in is not asked: it may wait for this process.
		if resolve.InOtherTree(backingPath(file), id.Dev) {
			continue
		}
		if h.loopIs(name, file, id) && !h.readOnly(name) {
			return h.describe(name), nil
		}
	}
	return "", nil
}

// loopIs asks the loop device itself what it is over, and where that is not
// allowed looks at the path that sysfs shows. To that the kernel adds
// " (deleted)" where the file is gone, and then nothing or another file lies
// there.
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

// backingPath is the path that sysfs shows of the file that a loop device is over, ""
// if it was detached meanwhile.
func backingPath(backingFile string) string {
	text, _ := os.ReadFile(backingFile)
	return strings.TrimSuffix(string(text), "\n")
}

func (h host) readOnly(name string) bool {
	text, err := os.ReadFile(filepath.Join(h.sys, "block", name, "ro"))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// describe adds the name that device-mapper has for a device.
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
