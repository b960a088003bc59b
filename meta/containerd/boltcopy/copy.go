package boltcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

const (
	// MaxBytes is the greatest length of a database, in bytes. On a large host it has some
	// 100 MiB.
	MaxBytes = 1 << 30

	copyTries  = 10      // bounds the copies of a database that is written to each time
	chunkBytes = 4 << 20 // how much is copied before the context is asked
)

// ErrBusy is the error for a database that was written to during each attempt to copy it.
var ErrBusy = fmt.Errorf("it was written to during each of %d attempts to copy it: try again", copyTries)

// copyFile copies a database into a new file without a name.
func copyFile(ctx context.Context, source *os.File) (*os.File, error) {
	private, err := os.CreateTemp("", "thintree-*.db")
	if err != nil {
		return nil, fmt.Errorf("copying it: %v", err) // not wrapped: it is not about the database
	}
	if err := os.Remove(private.Name()); err != nil {
		return nil, errors.Join(err, private.Close())
	}
	if err := copyInto(ctx, private, source); err != nil {
		private.Close()
		return nil, err
	}
	return private, nil
}

// open opens a regular file. It does not wait for a pipe, and leaves the access time as it
// is if the kernel allows that.
func open(path string) (*os.File, error) {
	fd, err := resolve.NoAtime(unix.O_RDONLY|unix.O_NONBLOCK, func(flags int) (int, error) { return resolve.Open(path, flags) })
	if errno, ok := err.(unix.Errno); ok {
		err = &fs.PathError{Op: "open", Path: path, Err: errno}
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: not a regular file", path)
	case info.Size() > MaxBytes:
		err = fmt.Errorf("%s: longer than %d bytes: %w", path, int64(MaxBytes), unix.EFBIG)
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// copyInto makes private a copy of source as one transaction left it. A clone is made at one
// moment. A copy is valid if no transaction ended meanwhile: until then none writes to the
// pages of the one that ended last.
func copyInto(ctx context.Context, private, source *os.File) error {
	if unix.IoctlFileClone(int(private.Fd()), int(source.Fd())) == nil {
		return nil
	}
	for range copyTries {
		before, err := readMeta(source)
		if err != nil {
			return err
		}
		if err := copyPages(ctx, private, source, before); err != nil {
			return err
		}
		if after, err := readMeta(source); err == nil && after == before {
			return nil
		}
	}
	return ErrBusy
}

// copyPages copies the pages that are in use in the transaction of a meta page.
func copyPages(ctx context.Context, private, source *os.File, m meta) error {
	length := int64(min(m.pgid(), MaxBytes/uint64(m.pageLen()))) * m.pageLen()
	if err := private.Truncate(0); err != nil {
		return err
	}
	for _, f := range []*os.File{private, source} {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	for left := length; left > 0; left -= chunkBytes {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := io.CopyN(private, source, min(left, chunkBytes))
		if errors.Is(err, io.EOF) {
			break // the pages that are missing are damage
		}
		if err != nil {
			return err
		}
	}
	// The meta page of the file may be a newer one by now.
	_, err := private.WriteAt(m[:], 0)
	return err
}
