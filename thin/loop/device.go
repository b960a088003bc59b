package loop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Device is an open loop device that is attached to a file. Its methods may be
// called concurrently, Close included.
type Device struct {
	node   *os.File
	number uint64
	direct bool
}

// Open opens, for reading, a loop device that is attached, by its number, as
// unix.Mkdev(7, minor) gives it. The error wraps ENXIO where there is no such
// device or it is not attached, and is a [NodeError] where /dev lacks its node.
func Open(number uint64) (*Device, error) { return system.open(number) }

func (h host) open(number uint64) (*Device, error) {
	if unix.Major(number) != major {
		return nil, fmt.Errorf("device %s is no loop device", numberText(number))
	}
	name, err := h.nameOf(number)
	if err != nil {
		return nil, err
	}
	node, err := h.openNode(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return newDevice(node)
}

// newDevice takes over a node. It closes it where there is an error.
func newDevice(node *os.File) (*Device, error) {
	d := &Device{node: node}
	st, err := node.Stat()
	if err != nil {
		return nil, errors.Join(err, node.Close())
	}
	d.number = uint64(st.Sys().(*syscall.Stat_t).Rdev)
	status, err := statusOf(node)
	if err != nil {
		return nil, errors.Join(err, node.Close())
	}
	d.direct = status.Flags&unix.LO_FLAGS_DIRECT_IO != 0
	return d, nil
}

// Path is the device's node: "/dev/loop3".
func (d *Device) Path() string { return d.node.Name() }

// Number is the device's number, as unix.Mkdev gives it.
func (d *Device) Number() uint64 { return d.number }

// Direct tells whether the device reads and writes its file past the page cache,
// as it was when it was opened.
func (d *Device) Direct() bool { return d.direct }

// SizeBytes is the device's length in bytes: that of the file when it was
// attached or last refreshed, without what is less than a sector of 512 bytes.
func (d *Device) SizeBytes() (int64, error) { return d.node.Seek(0, io.SeekEnd) }

// Backing is the file that a device is over.
type Backing struct {
	// Path is where the file lay, at this moment and as this process sees it, or
	// "" where it is deleted or hidden: the kernel keeps the name current, and the
	// file there was found to be the same. It is for messages. Who writes to it
	// opens it, and compares Dev and Ino of what is open.
	Path string
	// Dev and Ino are st_dev and st_ino of the file, whatever its names.
	Dev, Ino uint64
}

// Backing tells which file the device is over. The error wraps ENXIO where it was
// detached by force.
func (d *Device) Backing() (Backing, error) {
	status, err := statusOf(d.node)
	if err != nil {
		return Backing{}, err
	}
	b := Backing{Dev: status.Device, Ino: status.Inode}
	path, err := backingPath(filepath.Join(system.sys, "dev/block", numberText(d.number)))
	if err != nil {
		return b, nil // sysfs is not mounted here
	}
	if st, err := resolve.Stat(path); err == nil && uint64(st.Dev) == b.Dev && st.Ino == b.Ino {
		b.Path = path
	}
	return b, nil
}

// backingPath is the path of the file that a loop device is over, as the kernel shows it
// in the device's folder in sysfs.
func backingPath(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "loop/backing_file"))
	return strings.TrimSuffix(string(text), "\n"), err
}

// Refresh gives the device the length that its file has now. Devices stacked on
// it keep theirs until they are told.
func (d *Device) Refresh() error {
	err := withFD(d.node, func(fd int) error { return unix.IoctlSetInt(fd, unix.LOOP_SET_CAPACITY, 0) })
	if err != nil {
		return fmt.Errorf("%s: LOOP_SET_CAPACITY: %w", d.Path(), err)
	}
	return nil
}

// Close closes the device. One with autoclear is detached as soon as nobody else
// has it open.
func (d *Device) Close() error { return d.node.Close() }

// statusOf asks a loop device what it is over. The error wraps ENXIO where it is
// not attached.
func statusOf(node *os.File) (status *unix.LoopInfo64, err error) {
	err = withFD(node, func(fd int) error {
		status, err = unix.IoctlLoopGetStatus64(fd)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%s is not attached to a file: %w", node.Name(), err)
	case err != nil:
		return nil, fmt.Errorf("%s: LOOP_GET_STATUS64: %w", node.Name(), err)
	}
	return status, nil
}

// withFD lends a file's descriptor, which stays open meanwhile.
func withFD(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	if err := conn.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}
