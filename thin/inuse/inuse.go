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

// By returns the device of this host that uses the file or block device at path, so that its bytes
// may change at any time. For a block device that is a device stacked on it or on one of its
// partitions, such as by device-mapper or md. For a regular file it is a loop device over it. The
// name is for a message ("dm-3 (docker-pool)", "loop0"); it is "" if there is none. Mounts and
// read-only loop devices do not count.
//
// By does not need root. But if the caller may not open a loop device, the loop device is only
// found while its file is at the path where it was attached, and visible to the caller.
func By(path string) (string, error) { return system.by(path) }

func (h host) by(path string) (string, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return "", err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		return h.holder(st.Rdev)
	case unix.S_IFREG:
	default:
		return "", fmt.Errorf("%s is neither a regular file nor a block device", path)
	}
	// A loop device that may not be examined is left out.
	loops, _ := h.over(uint64(st.Dev), st.Ino)
	for _, l := range loops {
		if !l.readOnly {
			return filepath.Base(l.path), nil
		}
	}
	return "", nil
}

// ByAnother returns a user of the file or block device at path. The loop device with the number own,
// as unix.Mkdev makes it, does not count. The result is for a message; it is "" if there is none.
//
// These are the users of a block device: a device stacked on it or on one of its partitions, a
// mount, and a program that opened it exclusively. A loop device also has the users of its file.
//
// These are the users of a file: a loop device over it that may write, and a device stacked on
// any loop device over it.
//
// It is an error if this process may not examine a loop device, as without root.
func ByAnother(path string, own uint64) (string, error) { return system.byAnother(path, own) }

func (h host) byAnother(path string, own uint64) (string, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return h.byLoop(uint64(st.Dev), st.Ino, own)
	}
	if by, err := h.holder(st.Rdev); by != "" || err != nil {
		return by, err
	}
	fd, err := resolve.Open(path, unix.O_RDONLY|unix.O_EXCL)
	if errors.Is(err, unix.EBUSY) {
		return "a mount, or another program,", nil
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if unix.Major(st.Rdev) != blockdev.LoopMajor {
		return "", nil
	}
	status, err := blockdev.LoopStatus(fd, path)
	if errors.Is(err, unix.ENXIO) {
		return "", nil // not attached
	}
	if err != nil {
		return "", err
	}
	return h.byLoop(status.Device, status.Inode, st.Rdev)
}

// byLoop is a loop device over a file, or a device stacked on one. A read-only loop device counts
// only if a device is stacked on it.
func (h host) byLoop(dev, ino, own uint64) (string, error) {
	loops, err := h.over(dev, ino)
	if err != nil {
		return "", err
	}
	for _, l := range loops {
		if l.number == own {
			continue
		}
		by, err := h.holder(l.number)
		switch {
		case err != nil:
			return "", err
		case by != "":
			return by, nil
		case !l.readOnly:
			return l.path, nil
		}
	}
	return "", nil
}

// Devices returns the numbers of the block device at path, or of the loop devices over the file
// there, as unix.Mkdev makes them. If a loop device cannot be examined, because the process is not
// root for example, Devices returns an error along with the others.
func Devices(path string) ([]uint64, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return []uint64{st.Rdev}, nil
	}
	loops, err := system.over(uint64(st.Dev), st.Ino)
	numbers := make([]uint64, len(loops))
	for i, l := range loops {
		numbers[i] = l.number
	}
	return numbers, err
}

// LentPrefix begins the names of the device-mapper devices that thintree itself reads through.
// Nobody writes to them, so they are not users.
const LentPrefix = "thintree-lent-"

// host is where sysfs and the device nodes are.
type host struct{ sys, dev string }

var system = host{sys: "/sys", dev: "/dev"}

// holder is what is stacked on a block device, or on a partition of it.
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

// describe adds the device-mapper name of a device, if it has one.
func (h host) describe(name string) string {
	if dm := h.dmName(name); dm != "" {
		return name + " (" + dm + ")"
	}
	return name
}

// dmName is the device-mapper name of a device, "" if it has none.
func (h host) dmName(name string) string {
	return attribute(filepath.Join(h.sys, "block", name), "dm/name")
}
