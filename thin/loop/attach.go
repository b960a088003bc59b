package loop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Options say how to attach a device.
type Options struct {
	// ReadOnly opens the file for reading only, and makes a device that refuses writes.
	ReadOnly bool
}

const (
	// tries bounds the attempts to get a free device: another process may take it first.
	tries = 100
	// longestWait is the longest pause between two attempts.
	longestWait = 20 * time.Millisecond

	sectorBytes = 512 // of the devices that are attached here
)

// Attach attaches a free loop device to the regular file at path. The kernel detaches it
// when its last descriptor is closed: that of the [Device], unless another process has the
// device open.
//
// The error is that of ctx if ctx ends while other processes take every free device. It is
// a [NodeError] if /dev lacks the device's node.
//
// Kernels before 5.8 need several calls for it. A process that is killed between them
// leaves the device attached.
func Attach(ctx context.Context, path string, o Options) (*Device, error) {
	return system.attach(ctx, path, o)
}

func (h host) attach(ctx context.Context, path string, o Options) (*Device, error) {
	file, err := openBacking(path, o)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	control, err := os.OpenFile(filepath.Join(h.dev, "loop-control"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: is the kernel module loop loaded, and is the node in this /dev?", err)
	}
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, err := h.attachFree(control, file, o)
		switch {
		case err == nil:
			return d, nil
		case !errors.Is(err, errTaken):
			return nil, err
		case try == tries:
			return nil, fmt.Errorf("no loop device for %s: other processes took the free device %d times: %w", path, tries, unix.EBUSY)
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(time.Duration(try)*time.Millisecond, longestWait)):
		}
	}
}

// openBacking opens the file that a device will be attached to.
func openBacking(path string, o Options) (*os.File, error) {
	// Only a regular file is opened: opening others, such as devices, can have effects.
	st, err := resolve.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	fd, err := resolve.Open(path, o.openFlag()|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || st.Dev != now.Dev || st.Ino != now.Ino {
		return nil, errors.Join(fmt.Errorf("%s: another file took its place", path), err, file.Close())
	}
	return file, nil
}

func (o Options) openFlag() int {
	if o.ReadOnly {
		return os.O_RDONLY
	}
	return os.O_RDWR
}

// errTaken says that another process has taken the free device.
var errTaken = errors.New("taken by another process")

// attachFree attaches the first free device; the kernel makes one if there is none.
func (h host) attachFree(control, file *os.File, o Options) (*Device, error) {
	var index int
	err := withFD(control, func(fd int) (err error) {
		index, err = unix.IoctlRetInt(fd, unix.LOOP_CTL_GET_FREE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: LOOP_CTL_GET_FREE: %w", control.Name(), err)
	}
	node, err := h.openNode("loop"+strconv.Itoa(index), o.openFlag())
	if errors.Is(err, unix.ENXIO) {
		return nil, errTaken // removed
	}
	if err != nil {
		return nil, err
	}
	err = withFD(node, func(fd int) error {
		return withFD(file, func(backing int) error { return configure(fd, backing, file.Name(), o) })
	})
	if err != nil {
		node.Close()
		if errors.Is(err, unix.EBUSY) {
			return nil, errTaken
		}
		return nil, fmt.Errorf("%s over %s: %w", node.Name(), file.Name(), err)
	}
	return newDevice(node)
}

// configure attaches a device to a file. fd and backing are their descriptors. The error is
// EBUSY if the device is not free.
func configure(fd, backing int, path string, o Options) error {
	config := unix.LoopConfig{Fd: uint32(backing), Size: sectorBytes, Info: info(path, o)}
	config.Info.Flags |= unix.LO_FLAGS_DIRECT_IO
	err := unix.IoctlLoopConfigure(fd, &config)
	if err == unix.EINVAL || err == unix.ENOTTY {
		return configureOld(fd, backing, path, o) // the kernel may lack the call
	}
	if err != nil {
		return fmt.Errorf("LOOP_CONFIGURE: %w", err)
	}
	return nil
}

// configureOld is configure for kernels before 5.8.
func configureOld(fd, backing int, path string, o Options) error {
	if err := unix.IoctlSetInt(fd, unix.LOOP_SET_FD, backing); err != nil {
		return fmt.Errorf("LOOP_SET_FD: %w", err)
	}
	status := info(path, o)
	var err error
	for range tries {
		// The error is EAGAIN while the kernel drops pages of the device's previous file.
		if err = unix.IoctlLoopSetStatus64(fd, &status); err != unix.EAGAIN {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("LOOP_SET_STATUS64: %w", err), unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0))
	}
	// If the kernel refuses, the device works without direct I/O.
	_ = unix.IoctlSetInt(fd, unix.LOOP_SET_DIRECT_IO, 1)
	return nil
}

// info is what configure and configureOld set. A path that is too long is truncated: it is
// only for display.
func info(path string, o Options) unix.LoopInfo64 {
	i := unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}
	if o.ReadOnly {
		i.Flags |= unix.LO_FLAGS_READ_ONLY
	}
	copy(i.File_name[:len(i.File_name)-1], path)
	return i
}
