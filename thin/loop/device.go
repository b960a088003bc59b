package loop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/resolve"
)

// Device is an open loop device that is attached to a file. Its methods may be
// called concurrently, Close included.
type Device struct {
	node   *os.File
	number uint64
}

// Open opens an attached loop device for reading. number is unix.Mkdev(7, minor). The error
// wraps ENXIO if there is no such device or it is not attached, and is a [NodeError] if
// /dev lacks its node.
func Open(number uint64) (*Device, error) { return system.open(number) }

func (h host) open(number uint64) (*Device, error) {
	if unix.Major(number) != blockdev.LoopMajor {
		return nil, fmt.Errorf("device %s is not a loop device", blockdev.Text(number))
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

// newDevice takes ownership of node; if it fails it closes it. It fails if the device is
// not attached.
func newDevice(node *os.File) (*Device, error) {
	d := &Device{node: node}
	st, err := node.Stat()
	if err != nil {
		return nil, errors.Join(err, node.Close())
	}
	d.number = uint64(st.Sys().(*syscall.Stat_t).Rdev)
	if _, err := statusOf(node); err != nil {
		return nil, errors.Join(err, node.Close())
	}
	return d, nil
}

// Path is the path of the device's node: "/dev/loop3".
func (d *Device) Path() string { return d.node.Name() }

// Number is the device's number, as unix.Mkdev makes it.
func (d *Device) Number() uint64 { return d.number }

// SizeBytes is the device's length in bytes: the length of the file when it was attached or
// last refreshed, rounded down to whole sectors of 512 bytes.
func (d *Device) SizeBytes() (int64, error) { return d.node.Seek(0, io.SeekEnd) }

// Backing is the file that a device is attached to.
type Backing struct {
	// Path is the file's current path as this process sees it, "" if the file is deleted or
	// hidden. It is for messages: another file may take its place at any time. A caller
	// that opens it must compare Dev and Ino afterwards.
	Path string
	// Dev and Ino are st_dev and st_ino of the file.
	Dev, Ino uint64
}

// Backing returns the file that the device is attached to. The error wraps ENXIO if the
// device was detached by force.
func (d *Device) Backing() (Backing, error) {
	status, err := statusOf(d.node)
	if err != nil {
		return Backing{}, err
	}
	b := Backing{Dev: status.Device, Ino: status.Inode}
	path, err := blockdev.LoopFile(blockdev.Sysfs(d.number))
	if err != nil {
		return b, nil // sysfs is not mounted here
	}
	if st, err := resolve.Stat(path); err == nil && uint64(st.Dev) == b.Dev && st.Ino == b.Ino {
		b.Path = path
	}
	return b, nil
}

// Refresh sets the device's length to the current length of its file. Devices above it keep
// their length until they are reloaded.
func (d *Device) Refresh() error {
	err := withFD(d.node, func(fd int) error { return unix.IoctlSetInt(fd, unix.LOOP_SET_CAPACITY, 0) })
	if err != nil {
		return fmt.Errorf("%s: LOOP_SET_CAPACITY: %w", d.Path(), err)
	}
	return nil
}

// Close closes the device. The kernel detaches it, if it has autoclear, once nothing else
// has it open.
func (d *Device) Close() error { return d.node.Close() }

// statusOf is [blockdev.LoopStatus] of an open node.
func statusOf(node *os.File) (status *unix.LoopInfo64, err error) {
	err = withFD(node, func(fd int) error {
		status, err = blockdev.LoopStatus(fd, node.Name())
		return err
	})
	return status, err
}

// withFD runs do with a file's descriptor, which stays open meanwhile.
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
