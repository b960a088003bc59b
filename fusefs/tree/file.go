package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

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

	tree  *Tree
	root  *fsRoot // of a file in a volume
	lease *lease
	where string // for errors

	passed bool // see Pass; guarded by leases.mu

	mu     sync.RWMutex // held to read by who uses bytes
	bytes  volfs.File
	closed bool // bytes are; guarded by mu
}

// Open opens a file for reading: EISDIR for a folder, EINVAL for what cannot be
// opened here (links, devices, …).
func (t *Tree) Open(ctx context.Context, id NodeID) (*File, error) {
	if !id.isFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return nil, err
		}
		if n.pool == nil {
			return nil, notFile(n.path(), n.fileType())
		}
		return t.openInfo(ctx, id)
	}
	r, err := t.fsRoot(id)
	if err != nil {
		return nil, err
	}
	switch id.ino() {
	case infoIno:
		return t.openInfo(ctx, id)
	case 0, partsIno:
		return nil, notFile(r.String(), syscall.S_IFDIR)
	}
	if err := t.stillThere(ctx, r); err != nil {
		return nil, err
	}
	l, err := t.leases.acquire(ctx, r.vol)
	if err != nil {
		return nil, err
	}
	f := &File{Kept: !r.live(), tree: t, root: r, lease: l, where: fmt.Sprintf("%s: inode %d", r, id.ino())}
	if id.ino() == rawIno {
		f.where = r.String() + ": raw"
		f.bytes, err = l.content.raw(r.part)
	} else {
		var fs volfs.FS
		if fs, err = l.content.fs(ctx, r); err == nil {
			f.bytes, err = fs.Open(ctx, id.ino())
		}
	}
	if err != nil {
		t.leases.release(l)
		return nil, fmt.Errorf("%s: %w", f.where, err)
	}
	if !t.leases.hold(f) {
		err := errors.Join(fmt.Errorf("%s: %w", f.where, errEvicted), f.close())
		t.leases.release(l)
		return nil, err
	}
	return f, nil
}

// errEvicted unwraps to ESTALE, at which the kernel looks up a path once more and
// opens what it finds.
var errEvicted = fmt.Errorf("its volume was unmounted: %w", syscall.ESTALE)

func notFile(where string, fileType uint32) error {
	if fileType == syscall.S_IFDIR {
		return fmt.Errorf("%s: %w", where, syscall.EISDIR)
	}
	return fmt.Errorf("%s: %w", where, syscall.EINVAL)
}

// ReadAt reads as io.ReaderAt does. ESTALE means that the volume is no longer
// what it was when the file was opened.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if f.root != nil {
		if err := f.tree.stillThere(context.Background(), f.root); err != nil {
			return 0, err
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, fmt.Errorf("%s: %w", f.where, errEvicted)
	}
	n, err := f.bytes.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: at byte %d: %w", f.where, off+int64(n), err)
	}
	return n, err
}

// NextData and NextHole are lseek(2)'s SEEK_DATA and SEEK_HOLE: io.EOF where
// there is none.
func (f *File) NextData(off int64) (int64, error) { return f.seek(off, volfs.File.NextData) }

// NextHole is described at NextData.
func (f *File) NextHole(off int64) (int64, error) { return f.seek(off, volfs.File.NextHole) }

func (f *File) seek(off int64, next func(volfs.File, int64) (int64, error)) (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, fmt.Errorf("%s: %w", f.where, errEvicted)
	}
	return next(f.bytes, off)
}

// Close closes the file.
func (f *File) Close() error {
	if f.lease == nil {
		return f.close()
	}
	if !f.tree.leases.drop(f) {
		return nil // Evict has
	}
	err := f.close()
	f.tree.leases.release(f.lease)
	return err
}

// close closes the bytes, once nobody reads them.
func (f *File) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.bytes.Close()
}

// Readlink gives the target of a link.
func (t *Tree) Readlink(ctx context.Context, id NodeID) (string, error) {
	if !id.isFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return "", err
		}
		if n.target == "" {
			return "", fmt.Errorf("%s: %w", n.path(), syscall.EINVAL)
		}
		return n.target, nil
	}
	r, err := t.fsRoot(id)
	if err != nil {
		return "", err
	}
	if ino := id.ino(); ino == 0 || ino > maxIno {
		return "", fmt.Errorf("%s: %w", r, syscall.EINVAL)
	}
	var target string
	err = t.withFS(ctx, r, func(fs volfs.FS) (err error) {
		target, err = fs.Readlink(ctx, id.ino())
		return err
	})
	return target, err
}
