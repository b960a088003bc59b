package dm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Control runs the kernel's device-mapper ioctls: an open /dev/mapper/control, or a fake in
// a test. Ioctl may be called concurrently.
type Control interface {
	// Ioctl runs a DM_ command. buf begins with a unix.DmIoctl; the command writes its
	// answer to it. The error is an errno.
	Ioctl(command uint, buf []byte) error
	// Wait waits for an event of any device after the last DM_DEV_ARM_POLL of this Control.
	// If ctx ends first it returns the error of ctx.
	Wait(ctx context.Context) error
	Close() error
}

// controlPath is the node of the control device, which devtmpfs or udev makes.
const controlPath = "/dev/" + unix.DM_DIR + "/" + unix.DM_CONTROL_NODE

// controlNode is an open control device.
type controlNode struct {
	f    *os.File
	conn syscall.RawConn // of f
}

// openControl opens the control device, even if its node is missing, as in a container
// without udev.
func openControl() (Control, error) {
	f, err := os.OpenFile(controlPath, os.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		f, err = openUnlisted()
	}
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("device-mapper: %w: it needs root", err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("device-mapper: %w: is the kernel module dm-mod loaded (modprobe dm-mod)?", err)
	case err != nil:
		return nil, fmt.Errorf("device-mapper: %w", err)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("device-mapper: %w", err), f.Close())
	}
	return controlNode{f, conn}, nil
}

// openUnlisted opens the control device by a temporary node.
func openUnlisted() (*os.File, error) {
	const sysfs = "/sys/class/misc/device-mapper/dev"
	text, err := os.ReadFile(sysfs)
	if err != nil {
		return nil, err
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(strings.TrimSpace(string(text)), "%d:%d", &major, &minor); err != nil {
		return nil, fmt.Errorf("%s: %w", sysfs, err)
	}
	dir, err := os.MkdirTemp("/dev", ".thintree-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	node := filepath.Join(dir, unix.DM_CONTROL_NODE)
	if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return nil, &os.PathError{Op: "mknod", Path: node, Err: err}
	}
	return os.OpenFile(node, os.O_RDWR|unix.O_CLOEXEC, 0)
}

func (c controlNode) Ioctl(command uint, buf []byte) error {
	var errno unix.Errno
	err := c.conn.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uintptr(command), uintptr(unsafe.Pointer(&buf[0])))
	})
	if err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func (c controlNode) Wait(ctx context.Context) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		one := [8]byte{1}
		unix.Write(wake, one[:])
	})
	defer func() {
		if !stop() {
			<-done
		}
		unix.Close(wake)
	}()
	var failed error
	err = c.conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		failed = unix.EINTR
		for failed == unix.EINTR {
			_, failed = unix.Poll(fds, -1)
		}
	})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return os.NewSyscallError("poll", failed)
}

func (c controlNode) Close() error { return c.f.Close() }
