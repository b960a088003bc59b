package block

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// NextData is as in [Reader]. A block device is all data, and so is a file if its filesystem
// does not report holes.
func (f *File) NextData(_ context.Context, off int64) (int64, error) {
	if err := f.checkSeek(off); err != nil {
		return 0, err
	}
	if f.all {
		return off, nil
	}
	data, err := f.seek(off, unix.SEEK_DATA)
	if err == nil && data < f.size {
		return data, nil
	}
	switch {
	case unknowing(err):
		return off, nil
	case err != nil && !errors.Is(err, unix.ENXIO):
		return 0, err
	}
	end, err := f.end()
	if err != nil {
		return 0, err
	}
	if end < f.size {
		return max(off, end), nil
	}
	return 0, io.EOF
}

// NextHole is as in [Reader].
func (f *File) NextHole(_ context.Context, off int64) (int64, error) {
	if err := f.checkSeek(off); err != nil {
		return 0, err
	}
	if f.all {
		return f.size, nil
	}
	hole, err := f.seek(off, unix.SEEK_HOLE)
	switch {
	case unknowing(err):
		return f.size, nil
	case err != nil && !errors.Is(err, unix.ENXIO):
		return 0, err
	}
	end, endErr := f.end()
	if endErr != nil {
		return 0, endErr
	}
	if err != nil || hole >= end {
		return f.size, nil
	}
	return min(hole, f.size), nil
}

// seek may be called concurrently: it moves the file's position, but no read depends on that.
func (f *File) seek(off int64, whence int) (int64, error) {
	return f.f.Seek(off, whence)
}

// end is where the file ends now, in bytes.
func (f *File) end() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f *File) checkSeek(off int64) error {
	switch {
	case off < 0:
		return fmt.Errorf("%s: seek to offset %d: %w", f.Name(), off, unix.EINVAL)
	case off >= f.size:
		return io.EOF
	}
	return nil
}

// unknowing reports whether an error of lseek(2) says that the filesystem does not report
// holes.

func unknowing(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}
