package kernelfs

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// Open opens a regular file.
func (f *FS) Open(ctx context.Context, ino volfs.Ino) (opened volfs.File, err error) {
	err = f.at(ctx, ino, func(fd int) error {
		a, err := statx(fd, "")
		if err != nil {
			return err
		}
		switch a.Mode & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFDIR:
			return unix.EISDIR
		default:
			return unix.EINVAL // opening a device or a pipe has effects
		}
		regular, err := unix.Open(place(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		opened = file{os.NewFile(uintptr(regular), fmt.Sprintf("%s: inode %d", f.info.Type, ino))}
		return nil
	})
	return opened, err
}

// file is an open regular file.
type file struct{ *os.File }

// ReadAt cannot be interrupted by a context.
func (f file) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.File.ReadAt(p, off)
}

func (f file) NextData(_ context.Context, off int64) (int64, error) {
	return f.seek(off, unix.SEEK_DATA)
}
func (f file) NextHole(_ context.Context, off int64) (int64, error) {
	return f.seek(off, unix.SEEK_HOLE)
}

// seek moves the position of the descriptor, which nothing else uses.
func (f file) seek(off int64, whence int) (int64, error) {
	at, err := f.Seek(off, whence)
	if e, ok := err.(*os.PathError); ok && e.Err == unix.ENXIO {
		return 0, io.EOF
	}
	return at, err
}
