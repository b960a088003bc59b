package kernelfs

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// Open opens a regular file.
func (f *FS) Open(ctx context.Context, ino volfs.Ino) (volfs.File, error) {
	a, err := f.Stat(ctx, ino)
	if err != nil {
		return nil, err
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return nil, unix.EISDIR
	default:
		return nil, unix.EINVAL // never opened: a device or a pipe does something then
	}
	fd, err := f.open(ctx, ino, unix.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	return file{os.NewFile(uintptr(fd), f.root.Name())}, nil
}

// file is an open regular file.
type file struct{ *os.File }

func (f file) NextData(off int64) (int64, error) { return f.seek(off, unix.SEEK_DATA) }
func (f file) NextHole(off int64) (int64, error) { return f.seek(off, unix.SEEK_HOLE) }

// seek moves the descriptor's position, which nothing else uses.
func (f file) seek(off int64, whence int) (int64, error) {
	at, err := f.Seek(off, whence)
	if e, ok := err.(*os.PathError); ok && e.Err == unix.ENXIO {
		return 0, io.EOF
	}
	return at, err
}
