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

	ino volfs.Ino  // on the disk, of a file in a filesystem
	was volfs.Attr // what it was when it was opened; zero if its filesystem stays what it is

	mu     sync.RWMutex // held to read by callers that use bytes
	bytes  volfs.File
	from   *mounted // what bytes are closed with; nil if they are not; guarded by mu
	closed bool     // bytes are; guarded by mu
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
	f := &File{Kept: !r.live(), tree: t, root: r, lease: l, ino: id.ino(), where: fmt.Sprintf("%s: inode %d", r, id.ino())}
	if id.ino() == rawIno {
		f.where = r.String() + ": raw"
		f.bytes, err = l.content.raw(r.part)
	} else {
		err = l.content.with(ctx, r, func(m *mounted, fs volfs.FS) error { return f.open(ctx, m, fs) })
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

// open opens the file in a filesystem.
func (f *File) open(ctx context.Context, m *mounted, fs volfs.FS) (err error) {
	if f.bytes, err = fs.Open(ctx, f.ino); err != nil {
		return err
	}
	f.from = nil
	if m.by.live == LiveBind {
		return nil // it stays true when the owner's mount is given back
	}
	if m.takesTurns() || f.root.live() {
		if f.was, err = fs.Stat(ctx, f.ino); err != nil {
			return errors.Join(err, f.bytes.Close())
		}
	}
	f.from = m
	m.add(f)
	return nil
}

// reopen opens the file in the filesystem that its volume has now, in place of one that was
// given back. It is stale if it has changed since it was opened.
func (f *File) reopen(ctx context.Context, old *mounted) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.from != old {
		return nil
	}
	return f.lease.content.with(ctx, f.root, func(m *mounted, fs volfs.FS) error {
		was := f.was
		now, err := fs.Stat(ctx, f.ino)
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
		if now.Atime = was.Atime; err != nil || now != was {
			return fmt.Errorf("it was changed since it was opened: %w", syscall.ESTALE)
		}
		return f.open(ctx, m, fs)
	})
}

// ReadAt reads as io.ReaderAt does. ESTALE means that the volume is no longer
// what it was when the file was opened.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if f.root != nil {
		if err := f.tree.stillThere(ctx, f.root); err != nil {
			return 0, err
		}
	}
	err = f.with(ctx, func(bytes volfs.File) error {
		n, err = bytes.ReadAt(ctx, p, off)
		return err
	})
	if err != nil && !errors.Is(err, io.EOF) && f.where != "" {
		err = fmt.Errorf("%s: at byte %d: %w", f.where, off+int64(n), err)
	}
	return n, err
}

// NextData and NextHole are lseek(2)'s SEEK_DATA and SEEK_HOLE: io.EOF where
// there is none.
func (f *File) NextData(ctx context.Context, off int64) (int64, error) {
	return f.seek(ctx, off, volfs.File.NextData)
}

// NextHole is described at NextData.
func (f *File) NextHole(ctx context.Context, off int64) (int64, error) {
	return f.seek(ctx, off, volfs.File.NextHole)
}

func (f *File) seek(ctx context.Context, off int64, next func(volfs.File, context.Context, int64) (int64, error)) (at int64, err error) {
	err = f.with(ctx, func(bytes volfs.File) error {
		at, err = next(bytes, ctx, off)
		return err
	})
	return at, err
}

// with calls use with the file's bytes, which are opened anew if their filesystem was given
// back.
func (f *File) with(ctx context.Context, use func(volfs.File) error) error {
	for {
		done, from, err := f.tryWith(use)
		if done {
			return err
		}
		if err := f.reopen(ctx, from); err != nil {
			return err
		}
	}
}

func (f *File) tryWith(use func(volfs.File) error) (done bool, from *mounted, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	switch {
	case f.closed:
		return true, nil, errEvicted
	case f.from == nil:
		return true, nil, use(f.bytes)
	}
	done, err = f.from.use(func(volfs.FS) error { return use(f.bytes) })
	return done, f.from, err
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
	if f.from != nil {
		return f.from.closeFile(f)
	}
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
