package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/fusefs/lease"
	"thintree/fusefs/volume"
	"thintree/volfs"
)

// File is an open file. A volume stays open as long as a file in it is open. The methods may be
// called concurrently, until Close. Offsets are in bytes.
type File struct {
	// Kept says that the file's bytes cannot change.
	Kept bool
	// Made says that thintree made the bytes for this open. Another open of the same file may
	// have different bytes.
	Made bool

	bytes volfs.File
	where string // for errors

	// These are nil unless the file is in a volume.
	tree *Tree
	root *root
	hold *lease.Hold[*volume.Volume, *volume.Contents]
}

// Open opens a file for reading. The error is EISDIR for a folder, and EINVAL for other nodes
// that are no regular files (links, devices, …).
func (t *Tree) Open(ctx context.Context, id NodeID) (*File, error) {
	if !id.IsFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return nil, err
		}
		if n.Pool() == nil {
			return nil, notFile(n.Path(), n.FileType())
		}
		return t.openInfo(ctx, id)
	}
	r, err := t.root(id)
	if err != nil {
		return nil, err
	}
	ino := r.Ino(id)
	switch ino {
	case layout.InfoIno:
		return t.openInfo(ctx, id)
	case 0, layout.PartsIno:
		return nil, notFile(r.String(), syscall.S_IFDIR)
	}
	l, err := t.acquire(ctx, r)
	if err != nil {
		return nil, err
	}
	f := &File{Kept: !r.Volume.Live(), tree: t, root: r, where: fmt.Sprintf("%s: inode %d", r, ino)}
	if ino == layout.RawIno {
		f.where = r.String() + ": raw"
		f.bytes, err = l.Resource().OpenRaw(ctx, r.Place)
	} else {
		f.bytes, err = l.Resource().OpenFile(ctx, r.Root, ino)
	}
	if err != nil {
		t.leases.Release(l)
		return nil, fmt.Errorf("%s: %w", f.where, err)
	}
	hold, ok := t.leases.Hold(l, f.bytes.Close)
	if !ok {
		err := errors.Join(fmt.Errorf("%s: %w", f.where, volume.ErrEvicted), f.bytes.Close())
		t.leases.Release(l)
		return nil, err
	}
	f.hold = hold
	return f, nil
}

func notFile(where string, fileType uint32) error {
	if fileType == syscall.S_IFDIR {
		return fmt.Errorf("%s: %w", where, syscall.EISDIR)
	}
	return fmt.Errorf("%s: %w", where, syscall.EINVAL)
}

// ReadAt reads as io.ReaderAt does. ESTALE means that the volume has changed or was closed
// since the file was opened.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if f.root != nil {
		if err := f.tree.stillThere(ctx, f.root); err != nil {
			return 0, err
		}
	}
	n, err = f.bytes.ReadAt(ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) && f.where != "" {
		err = fmt.Errorf("%s: at byte %d: %w", f.where, off+int64(n), err)
	}
	return n, err
}

// NextData is lseek(2)'s SEEK_DATA. It is io.EOF if no data follow.
func (f *File) NextData(ctx context.Context, off int64) (int64, error) {
	return f.bytes.NextData(ctx, off)
}

// NextHole is lseek(2)'s SEEK_HOLE. It is io.EOF if off is not within the file.
func (f *File) NextHole(ctx context.Context, off int64) (int64, error) {
	return f.bytes.NextHole(ctx, off)
}

// Close closes the file.
func (f *File) Close() error {
	if f.hold == nil {
		return f.bytes.Close()
	}
	l, ok := f.hold.Take()
	if !ok {
		return nil // Evict has closed the file
	}
	err := f.bytes.Close()
	f.tree.leases.Release(l)
	return err
}

// Descriptor calls use with the descriptor of the kernel's file behind f, so that reads can be
// passed through to it: see volume.File.Descriptor. It calls nothing and returns false if f
// cannot be passed through.
func (f *File) Descriptor(use func(fd int)) bool {
	v, ok := f.bytes.(*volume.File)
	return ok && v.Descriptor(use)
}

// PassThrough records that the file is passed through from now on, until it is closed. It
// returns false if [Tree.Evict] is closing the file's volume or has closed it: then the caller
// must not pass the file through.
func (f *File) PassThrough() bool { return f.hold != nil && f.hold.PassThrough() }

// Readlink returns the target of a link.
func (t *Tree) Readlink(ctx context.Context, id NodeID) (string, error) {
	if !id.IsFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return "", err
		}
		if n.Target == "" {
			return "", fmt.Errorf("%s: %w", n.Path(), syscall.EINVAL)
		}
		return n.Target, nil
	}
	r, err := t.root(id)
	if err != nil {
		return "", err
	}
	ino := r.Ino(id)
	if ino == 0 || ino > layout.MaxIno {
		return "", fmt.Errorf("%s: %w", r, syscall.EINVAL)
	}
	var target string
	err = t.withFS(ctx, r, func(fs volfs.FS) (err error) {
		target, err = fs.Readlink(ctx, ino)
		return err
	})
	return target, err
}
