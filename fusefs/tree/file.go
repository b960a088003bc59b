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

// File is an open file. As long as one in a volume is open, so is the volume.
// Its methods may be called concurrently, until Close. Offsets are in bytes.
type File struct {
	// Kept says that the file's bytes cannot change.
	Kept bool
	// Made says that its bytes are made by thintree for this opening, so that
	// no two of them need to be the same.
	Made bool

	bytes volfs.File
	where string // for errors

	// of a file in a volume
	tree *Tree
	root *root
	hold *lease.Hold[*volume.Volume, *volume.Contents]
}

// Open opens a file for reading: EISDIR for a folder, EINVAL for what cannot be
// opened here (links, devices, …).
func (t *Tree) Open(ctx context.Context, id NodeID) (*File, error) {
	if !id.IsFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return nil, err
		}
		if n.Pool == nil {
			return nil, notFile(n.Path(), n.FileType())
		}
		return t.openInfo(ctx, id)
	}
	r, err := t.root(id)
	if err != nil {
		return nil, err
	}
	switch id.Ino() {
	case layout.InfoIno:
		return t.openInfo(ctx, id)
	case 0, layout.PartsIno:
		return nil, notFile(r.String(), syscall.S_IFDIR)
	}
	l, err := t.acquire(ctx, r)
	if err != nil {
		return nil, err
	}
	f := &File{Kept: !r.Volume.Live(), tree: t, root: r, where: fmt.Sprintf("%s: inode %d", r, id.Ino())}
	if id.Ino() == layout.RawIno {
		f.where = r.String() + ": raw"
		f.bytes, err = l.Resource().OpenRaw(ctx, r.Place)
	} else {
		f.bytes, err = l.Resource().OpenFile(ctx, r.Root, id.Ino())
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

// ReadAt reads as io.ReaderAt does. ESTALE means that the volume is no longer
// what it was when the file was opened.
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

// NextData and NextHole are lseek(2)'s SEEK_DATA and SEEK_HOLE: io.EOF if there is none.
func (f *File) NextData(ctx context.Context, off int64) (int64, error) {
	return f.bytes.NextData(ctx, off)
}

// NextHole is described at NextData.
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
		return nil // Evict has
	}
	err := f.bytes.Close()
	f.tree.leases.Release(l)
	return err
}

// Descriptor calls use with the descriptor of the kernel's file that this one's bytes are
// of, so that the kernel can read it without asking us: see volume.File.Descriptor. It is
// false, and nothing is called, if there is none.
func (f *File) Descriptor(use func(fd int)) bool {
	v, ok := f.bytes.(*volume.File)
	return ok && v.Descriptor(use)
}

// PassThrough says that the kernel reads the file without asking us from now on, so that
// nothing can end that before the file is closed. It is false if the file's volume is being
// closed by [Tree.Evict], or was: then that must not begin.
func (f *File) PassThrough() bool { return f.hold != nil && f.hold.PassThrough() }

// Readlink gives the target of a link.
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
	if ino := id.Ino(); ino == 0 || ino > layout.MaxIno {
		return "", fmt.Errorf("%s: %w", r, syscall.EINVAL)
	}
	var target string
	err = t.withFS(ctx, r, func(fs volfs.FS) (err error) {
		target, err = fs.Readlink(ctx, id.Ino())
		return err
	})
	return target, err
}
