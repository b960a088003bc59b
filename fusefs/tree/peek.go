package tree

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"thintree/volfs"
	"thintree/volfs/probe"
)

// peek is what was read of a volume or partition without opening it: enough to
// answer what lists ask.
type peek struct {
	at    time.Time
	found probe.Result
	// sizeBytes is the length of the volume or partition.
	sizeBytes int64
	fs        *fsPeek // nil where no filesystem can be read
	err       error   // why
}

// fsPeek is what was read of a filesystem.
type fsPeek struct {
	info   volfs.Info
	statfs volfs.Statfs
	root   peekedFolder
	// inner is the folder in which what people look for begins; zero where the
	// volume has none.
	inner peekedFolder
}

// peekedFolder is one folder with all that stat and getxattr tell of it.
type peekedFolder struct {
	attr   volfs.Attr
	xattrs map[string][]byte
}

// folder is the peeked folder with an inode number, 0 meaning the root, or nil.
func (p *peek) folder(ino volfs.Ino) *peekedFolder {
	switch {
	case p.fs == nil:
		return nil
	case ino == 0:
		return &p.fs.root
	case ino == p.fs.inner.attr.Ino:
		return &p.fs.inner
	}
	return nil
}

// peeker keeps a peek, and lets many callers wait for one.
type peeker struct {
	last atomic.Pointer[peek]
	mu   sync.Mutex
	now  *flight[*peek] // that is being taken; guarded by mu
}

// valid tells whether a peek still holds: for ever of what cannot change, a
// moment for what can, and for an error, which may have a passing cause.
func (p *peek) valid(live bool) bool {
	if p == nil {
		return false
	}
	return p.err == nil && !live || time.Since(p.at) < fresh
}

// peek reads the few blocks that lists ask for, or gives what was read before.
// An error is one of reaching the volume at all; what is wrong with what it
// holds is the peek's own.
func (t *Tree) peek(ctx context.Context, r *fsRoot) (*peek, error) {
	live := r.live()
	if p := r.peeks.last.Load(); p.valid(live) {
		return p, nil
	}
	r.peeks.mu.Lock()
	f := r.peeks.now
	if f == nil {
		f = fly(ctx, func(ctx context.Context) (*peek, error) {
			p, err := t.takePeek(ctx, r)
			if err == nil {
				r.peeks.last.Store(p)
			}
			r.peeks.mu.Lock()
			r.peeks.now = nil
			r.peeks.mu.Unlock()
			return p, err
		})
		r.peeks.now = f
	}
	r.peeks.mu.Unlock()
	return f.wait(ctx)
}

func (t *Tree) takePeek(ctx context.Context, r *fsRoot) (*peek, error) {
	p := &peek{at: time.Now()}
	c, err := t.readContent(ctx, r.vol)
	if err != nil {
		p.sizeBytes, p.err = r.vol.sizeBytes, err
		return p, nil
	}
	defer c.Close()
	at, err := c.bytes(r.part)
	if err != nil {
		return nil, err
	}
	p.found, p.sizeBytes = c.found, at.Size()
	if r.part == 0 && len(partitions(c.found)) > 0 {
		return p, nil
	}
	p.fs, p.err = t.peekContent(ctx, c, r)
	return p, nil
}

// peekContent reads a few blocks of a filesystem: directly where that shows what
// an open volume does, as they are not worth a mount.
func (t *Tree) peekContent(ctx context.Context, c *content, r *fsRoot) (f *fsPeek, err error) {
	at, found, err := c.probe(ctx, r)
	if err != nil {
		return nil, err
	}
	inner := r.vol.record().Root
	sig := found.Signatures[0]
	by, err := t.engine(ctx, r, sig.Type)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	if by.live == LiveAuto || by.live == LiveBind {
		if fs, err := t.openMounted(ctx, by, r, infoOf(sig)); err == nil {
			defer fs.Close()
			return peekFS(ctx, fs, inner)
		}
	}
	if by.engine == EngineDirect || readsDirectly(sig.Type) {
		fs, err := openDirect(ctx, sig.Type, at, found)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
		defer fs.Close()
		if by.engine == EngineDirect || !fs.Info().Dirty {
			return peekFS(ctx, fs, inner)
		}
	}
	if !t.leases.holds(r.vol) {
		defer t.leases.forget(r.vol) // who only looks leaves nothing open
	}
	err = t.withFS(ctx, r, func(fs volfs.FS) (err error) {
		f, err = peekFS(ctx, fs, inner)
		return err
	})
	return f, err
}

// peekFS reads a filesystem's root, and the folder inner in it.
func peekFS(ctx context.Context, fs volfs.FS, inner string) (*fsPeek, error) {
	f := &fsPeek{info: fs.Info()}
	var err error
	if f.statfs, err = fs.Statfs(ctx); err != nil {
		return nil, err
	}
	if f.root, err = peekFolder(ctx, fs, fs.Root()); err != nil {
		return nil, err
	}
	if inner == "" {
		return f, nil
	}
	ino, err := fs.Lookup(ctx, fs.Root(), inner)
	if errors.Is(err, syscall.ENOENT) {
		return f, nil
	}
	if err == nil {
		f.inner, err = peekFolder(ctx, fs, ino)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func peekFolder(ctx context.Context, fs volfs.FS, ino volfs.Ino) (peekedFolder, error) {
	attr, err := fs.Stat(ctx, ino)
	if err != nil || !attr.HasXattrs {
		return peekedFolder{attr: attr}, err
	}
	names, err := fs.Xattrs(ctx, ino)
	if err != nil {
		return peekedFolder{}, err
	}
	p := peekedFolder{attr: attr, xattrs: make(map[string][]byte, len(names))}
	for _, name := range names {
		if p.xattrs[name], err = fs.Xattr(ctx, ino, name); err != nil {
			return peekedFolder{}, err
		}
	}
	return p, nil
}
