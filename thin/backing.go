package thin

import (
	"context"
	"fmt"
	"io"

	"thintree/thin/block"
	"thintree/thin/inuse"
	"thintree/thin/loop"
)

// backing is a block device that a pool lies on. If the caller gave a file, it is a loop device
// over it.
type backing struct {
	path   string // as the caller gave it
	number uint64 // as unix.Mkdev makes it
	bytes  int64
	closer io.Closer // of a loop device; nil otherwise
}

// halves are the metadata and the data of a pool.
type halves struct{ metadata, data *backing }

// attachHalves attaches both halves. The error is an *[InUseError] if one is in use. It is an
// error too if both are the same.
func attachHalves(ctx context.Context, c PoolConfig) (*halves, error) {
	same, err := same(c.Metadata, c.Data)
	if err != nil {
		return nil, err
	}
	if same {
		return nil, fmt.Errorf("%s and %s are the same: a pool's metadata and data need a file or block device each", c.Metadata, c.Data)
	}
	metadata, err := attach(ctx, c.Metadata, c.ReadOnly)
	if err != nil {
		return nil, err
	}
	data, err := attach(ctx, c.Data, c.ReadOnly)
	if err != nil {
		metadata.close()
		return nil, err
	}
	return &halves{metadata, data}, nil
}

func (h *halves) close() {
	h.metadata.close()
	h.data.close()
}

// attach returns the block device at path, or attaches a loop device to the file there. The error
// is an *[InUseError] if it is in use. The kernel detaches the loop device when it is no longer
// open.
func attach(ctx context.Context, path string, readOnly bool) (_ *backing, err error) {
	f, err := block.Open(path, block.Options{})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := &backing{path: path, number: f.Identity().Rdev, bytes: f.Size()}
	if b.number == 0 {
		l, err := loop.Attach(ctx, path, loop.Options{ReadOnly: readOnly})
		if err != nil {
			return nil, err
		}
		b.number, b.closer = l.Number(), l
		if b.bytes, err = l.SizeBytes(); err != nil {
			b.close()
			return nil, err
		}
	}
	// If two processes attach a file at the same time, each sees the other here.
	if err := unused(path, b.number); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// close closes a loop device. A device on top of it keeps it attached.
func (b *backing) close() {
	if b.closer != nil {
		b.closer.Close()
	}
}

// same reports whether two paths are of the same file or block device.
func same(a, b string) (bool, error) {
	var ids [2]block.Identity
	for i, path := range []string{a, b} {
		f, err := block.Open(path, block.Options{})
		if err != nil {
			return false, err
		}
		ids[i] = f.Identity()
		f.Close()
	}
	return ids[0] == ids[1], nil
}

// unused returns an *[InUseError] if a file or block device is in use. The kernel would not notice
// a second pool over the same file, and the two would destroy each other. The loop device own
// does not count as a user.
func unused(path string, own uint64) error {
	by, err := inuse.ByAnother(path, own)
	if err == nil && by != "" {
		err = &InUseError{Path: path, By: by}
	}
	return err
}

// lengthOf is the length of a file or block device in bytes.
func lengthOf(path string) (int64, error) {
	f, err := block.Open(path, block.Options{})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Size(), nil
}
