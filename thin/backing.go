package thin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/block"
	"thintree/thin/loop"
)

// backing is a block device that a pool lies on: a given one, or a loop device
// over a given file.
type backing struct {
	number uint64 // unix.Mkdev
	bytes  int64
	closer io.Closer
}

// attach makes a block device of a file, or takes the one that path is. The loop
// device goes with the last that has it open.
func attach(ctx context.Context, path string, readOnly bool) (*backing, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		bytes, err := lengthOf(path)
		return &backing{number: st.Rdev, bytes: bytes, closer: io.NopCloser(nil)}, err
	}
	l, err := loop.Attach(ctx, path, loop.Options{ReadOnly: readOnly})
	if err != nil {
		return nil, err
	}
	bytes, err := l.SizeBytes()
	if err != nil {
		l.Close()
		return nil, err
	}
	return &backing{number: l.Number(), bytes: bytes, closer: l}, nil
}

// close lets go of the device. What is above it keeps it.
func (b *backing) close() error { return b.closer.Close() }

// lengthOf is how many bytes a file or block device has.
func lengthOf(path string) (int64, error) {
	f, err := block.Open(path, block.Options{})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Size(), nil
}

// free tells whether nobody else has a file or block device active. The kernel
// would not notice a second pool over the same file, and the two would destroy
// each other.
func free(paths ...string) error {
	for _, path := range paths {
		by, err := block.InUse(path)
		if err != nil {
			return err
		}
		if by != "" {
			return &InUseError{Path: path, By: by}
		}
	}
	return nil
}

// growFile makes a file longer. It is an error where it is longer already.
func growFile(path string, bytes int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && st.Size() > bytes {
		err = fmt.Errorf("%s: it has %d bytes, and can only become longer, not %d", path, st.Size(), bytes)
	}
	if err == nil {
		err = f.Truncate(bytes)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
