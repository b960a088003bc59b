package thin

import (
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ioctls that x/sys has no names for: linux/fs.h.
const (
	fitrim     = 0xC0185879
	blkDiscard = 0x1277
)

// TrimFilesystem has a mounted filesystem, any folder of which is dir, give back
// the blocks that it does not use, and tells how many bytes those are.
func TrimFilesystem(dir *os.File) (int64, error) {
	// struct fstrim_range
	r := struct{ start, len, minlen uint64 }{len: math.MaxUint64}
	if err := ioctl(dir, fitrim, unsafe.Pointer(&r)); err != nil {
		return 0, fmt.Errorf("trim %s: %w", dir.Name(), err)
	}
	return int64(r.len), nil
}

// Discard gives back all blocks of an active device. What it held is lost.
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
