package volume

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"thintree/volfs"
)

// File is an open file in a volume. It stays usable if its filesystem is given back and opened
// again. Its methods may be called concurrently. It is a [volfs.File].
type File struct {
	contents *Contents
	root     *Root
	ino      volfs.Ino
	kept     bool       // its bytes cannot change
	was      volfs.Attr // its attributes when it was opened; zero if the filesystem cannot change

	mu     sync.RWMutex // held for reading by callers that use bytes
	bytes  volfs.File   // guarded by mu
	from   *mounted     // bytes are closed when it is; nil if they are closed on their own; guarded by mu
	closed bool         // bytes are closed; guarded by mu
}

var _ volfs.File = (*File)(nil)

// ErrEvicted says that a file's volume was closed while the file was still open. It unwraps to
// ESTALE: the kernel then looks the path up once more, and opens the file that it finds.
var ErrEvicted = fmt.Errorf("its volume was unmounted: %w", syscall.ESTALE)

// OpenFile opens a regular file in the filesystem at a root. Its errors are those of volfs.FS.
func (c *Contents) OpenFile(ctx context.Context, r *Root, ino volfs.Ino) (*File, error) {
	f := &File{contents: c, root: r, ino: ino, kept: !r.Volume.Live()}
	err := c.with(ctx, r, func(m *mounted, fs volfs.FS) error { return f.open(ctx, m, fs) })
	if err != nil {
		return nil, err
	}
	return f, nil
}

// open opens the file in a filesystem.
func (f *File) open(ctx context.Context, m *mounted, fs volfs.FS) (err error) {
	if f.bytes, err = fs.Open(ctx, f.ino); err != nil {
		return err
	}
	f.from = nil
	if m.by.live == LiveBind {
		return nil // it stays valid when the owner's mount is given back
	}
	if m.takesTurns() || f.root.Volume.Live() {
		if f.was, err = fs.Stat(ctx, f.ino); err != nil {
			return errors.Join(err, f.bytes.Close())
		}
	}
	f.from = m
	m.add(f)
	return nil
}

// reopen opens the file in the filesystem that is open now, because the old one was given
// back. The error is ESTALE if the file has changed since it was opened.
func (f *File) reopen(ctx context.Context, old *mounted) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.from != old {
		return nil
	}
	return f.contents.with(ctx, f.root, func(m *mounted, fs volfs.FS) error {
		was := f.was
		now, err := fs.Stat(ctx, f.ino)
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
		if now.Atime = was.Atime; err != nil || now != was {
			return fmt.Errorf("it has changed since it was opened: %w", syscall.ESTALE)
		}
		return f.open(ctx, m, fs)
	})
}

// ReadAt is described at volfs.File. The error is [ErrEvicted] after Close.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	err = f.with(ctx, func(bytes volfs.File) error {
		n, err = bytes.ReadAt(ctx, p, off)
		return err
	})
	return n, err
}

// NextData is described at volfs.File.
func (f *File) NextData(ctx context.Context, off int64) (at int64, err error) {
	err = f.with(ctx, func(bytes volfs.File) error {
		at, err = bytes.NextData(ctx, off)
		return err
	})
	return at, err
}

// NextHole is described at volfs.File.
func (f *File) NextHole(ctx context.Context, off int64) (at int64, err error) {
	err = f.with(ctx, func(bytes volfs.File) error {
		at, err = bytes.NextHole(ctx, off)
		return err
	})
	return at, err
}

// with calls use with the file's bytes. It opens them again if their filesystem was given back.
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
		return true, nil, ErrEvicted
	case f.from == nil:
		return true, nil, use(f.bytes)
	}
	done, err = f.from.use(func(volfs.FS) error { return use(f.bytes) })
	return done, f.from, err
}

// Close waits for the reads under way, and closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.from != nil {
		return f.from.closeFile(f)
	}
	return f.bytes.Close()
}

// Descriptor calls use with the descriptor of the kernel's file behind f, so that the kernel
// can pass reads through to that file. The descriptor is open until use returns. Descriptor
// calls nothing and returns false if the file cannot be passed through: this process reads the
// volume, or somebody may be writing to it, or its pool is shared with an owner who must get a
// turn.
//
// Reads that are passed through skip the checks of ReadAt, such as whether the volume is still
// the same. Nobody can write to the volume through the mount that the kernel made for the
// tree, and nobody else had the volume active when the file was opened. If somebody activates
// it afterwards and writes to it, uncached reads of the open file return the changed bytes.
func (f *File) Descriptor(use func(fd int)) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	b, ok := f.bytes.(interface{ Fd() uintptr })
	if !ok || !f.kept || f.closed || f.from == nil || f.from.takesTurns() {
		return false
	}
	used, _ := f.from.use(func(volfs.FS) error {
		use(int(b.Fd()))
		return nil
	})
	return used
}
