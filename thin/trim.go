package thin

import (
	"context"
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ioctls of linux/fs.h that x/sys does not name.
const (
	fitrim     = 0xC0185879
	blkDiscard = 0x1277
)

// Trim discards the unused blocks of the filesystem on an active thin device. It returns how many
// bytes of the device are no longer mapped. The filesystem's own count would include blocks that
// were never mapped. dir is any folder of the filesystem.
func (k *Kernel) Trim(ctx context.Context, name string, dir *os.File) (int64, error) {
	before, err := k.mappedBytes(ctx, name)
	if err != nil {
		return 0, err
	}
	// struct fstrim_range
	r := struct{ start, len, minlen uint64 }{len: math.MaxUint64}
	if err := ioctl(dir, fitrim, unsafe.Pointer(&r)); err != nil {
		return 0, fmt.Errorf("trim %s: %w", dir.Name(), err)
	}
	after, err := k.mappedBytes(ctx, name)
	return max(0, before-after), err // less than 0 if it was written to meanwhile
}

// mappedBytes is how many bytes of an active thin device are mapped.
func (k *Kernel) mappedBytes(ctx context.Context, name string) (int64, error) {
	_, s, err := k.DeviceStatus(ctx, name)
	if err != nil {
		return 0, err
	}
	if s.Failed {
		return 0, fmt.Errorf("%s: its pool has failed", name)
	}
	return s.MappedBytes(), nil
}

// Discard unmaps all blocks of an active device. Its data are lost.
func (d Device) Discard() error {
	f, err := os.OpenFile(d.Path(), os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	span := [2]uint64{0, uint64(end)}
	if err := ioctl(f, blkDiscard, unsafe.Pointer(&span)); err != nil {
		return fmt.Errorf("discard %s: %w", d.Name, err)
	}
	return nil
}

func ioctl(f *os.File, command uintptr, arg unsafe.Pointer) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	if err := conn.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, command, uintptr(arg))
	}); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}
