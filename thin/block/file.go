package block

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Options says how to open a file.
type Options struct {
	// Direct reads past the page cache (O_DIRECT). This is needed for a device that is
	// being written to through another cache, such as the halves of an active pool. If
	// the filesystem does not support O_DIRECT, reads are buffered: see [File.Direct].
	Direct bool
}

// File is an open regular file or block device. It is a [Reader]. Its methods, also Close,
// may be called concurrently.
type File struct {
	f    *os.File
	id   Identity
	size int64
	all  bool    // everything is data: a block device
	dio  *direct // nil if reads are buffered
}

var _ Reader = (*File)(nil)

// Open opens a regular file or block device read-only. Anything else is not opened: the error
// says what it is and wraps EISDIR or ENOTBLK. The access time does not change if the caller
// is root or owns the file.
func Open(path string, opts Options) (*File, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := checkKind(path, st.Mode); err != nil {
		return nil, err
	}
	f, direct, err := open(path, opts.Direct)
	if err != nil {
		return nil, err
	}
	file, err := newFile(f, direct)
	if err != nil {
		f.Close()
		return nil, err
	}
	return file, nil
}

func open(path string, direct bool) (f *os.File, isDirect bool, err error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK
	if direct {
		f, err = openNoAtime(path, flags|unix.O_DIRECT)
		if !errors.Is(err, unix.EINVAL) {
			return f, true, err
		}
	}
	f, err = openNoAtime(path, flags)
	return f, false, err
}

func openNoAtime(path string, flags int) (*os.File, error) {
	fd, err := resolve.NoAtime(flags, func(flags int) (int, error) { return resolve.Open(path, flags) })
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func newFile(f *os.File, isDirect bool) (*File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if err := checkKind(f.Name(), st.Mode); err != nil {
		return nil, err
	}
	id := identify(st)
	file := &File{f: f, id: id, size: st.Size, all: id.Rdev != 0}
	var err error
	if file.all {
		if file.size, err = f.Seek(0, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	if isDirect {
		if file.dio, err = newDirect(f); err != nil {
			return nil, err
		}
	}
	return file, nil
}

func checkKind(path string, mode uint32) error {
	what, errno := "", unix.ENOTBLK
	switch mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFBLK:
		return nil
	case unix.S_IFDIR:
		what, errno = "a folder", unix.EISDIR
	case unix.S_IFCHR:
		what = "a character device"
	case unix.S_IFIFO:
		what = "a named pipe"
	case unix.S_IFSOCK:
		what = "a socket"
	default:
		what = "of an unknown kind"
	}
	return fmt.Errorf("%s is %s, neither a regular file nor a block device: %w", path, what, errno)
}

// ReadAt reads as [io.ReaderAt] does. If the file has become shorter than Size, reads beyond
// its end return [io.ErrUnexpectedEOF].
func (f *File) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%s: read at offset %d: %w", f.Name(), off, unix.EINVAL)
	}
	if off >= f.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), f.size-off)]
	n, err := f.readAt(want, off)
	switch {
	case err == io.EOF:
		err = fmt.Errorf("%s: ends at or before byte %d instead of %d: %w", f.Name(), off+int64(n), f.size, io.ErrUnexpectedEOF)
	case err == nil && len(want) < len(p):
		err = io.EOF
	}
	return n, err
}

func (f *File) readAt(p []byte, off int64) (int, error) {
	if f.dio != nil {
		return f.dio.readAt(p, off)
	}
	return f.f.ReadAt(p, off)
}

// Size is the length in bytes when the file was opened.
func (f *File) Size() int64 { return f.size }

// Name is the path that the file was opened by.
func (f *File) Name() string { return f.f.Name() }

// Direct reports whether reads go past the page cache.
func (f *File) Direct() bool { return f.dio != nil }

// Identity is the identity of the file or device.
func (f *File) Identity() Identity { return f.id }

// Close closes the file, after the calls under way.
func (f *File) Close() error { return f.f.Close() }

// Identity identifies a file or device, whatever its paths. Two files or devices are the same
// if their Identity is equal.
type Identity struct {
	// Dev and Ino are st_dev and st_ino of a regular file, 0 of a block device.
	Dev, Ino uint64
	// Rdev is st_rdev of a block device, 0 of a regular file.
	Rdev uint64
}

func identify(st unix.Stat_t) Identity {
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return Identity{Rdev: uint64(st.Rdev)}
	}
	return Identity{Dev: uint64(st.Dev), Ino: st.Ino}
}
