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
	live  bool // somebody could write to it then
	found probe.Result
	// sizeBytes is the length of the volume or partition.
	sizeBytes int64
	fs        *fsPeek // nil where no filesystem can be read
	err       error   // why
	short     string  // what does not fit, "" where all does: see fsRoot.tooShort
	// shortPart is that of partitions; nil before it is known.
	shortPart atomic.Pointer[string]
}

// fsPeek is what was read of a filesystem.
type fsPeek struct {
	info volfs.Info
	// statfs is nil before it is known: see Tree.statfs.
	statfs atomic.Pointer[volfs.Statfs]
	root   peekedFolder
	// inner is the folder in which what people look for begins; zero where the
	// volume has none.
	inner peekedFolder
	// unmounted says that the filesystem was cleanly unmounted, as far as is known.
	unmounted bool
	// opened says that it was read from an open volume: a journal had to be replayed, or
	// this process does not read the filesystem.
	opened bool
	// entries are those of the root folder where the kernel reads the volume, which
	// takes a while at first; nil where they are not known.
	entries []volfs.DirEntry
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
	return p.err == nil && !live && !p.live || time.Since(p.at) < fresh
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

func (t *Tree) takePeek(ctx context.Context, r *fsRoot) (p *peek, err error) {
	at, live := time.Now(), r.live()
	var unreached error
	err = r.vol.glimpse(ctx, func(open func(int64) (device, error)) error {
		p, unreached = t.peekAt(ctx, r, open)
		return nil
	})
	switch {
	case err != nil:
		p = &peek{sizeBytes: r.vol.sizeBytes, err: fmt.Errorf("%s: %w", r.vol.name, err)}
	case unreached != nil:
		return nil, unreached
	case errors.Is(p.err, errUnopened):
		p.fs, p.err = t.peekOpened(ctx, r)
	}
	p.err = unread(p.err)
	p.at, p.live = at, live || r.live()
	return p, nil
}

func (t *Tree) peekAt(ctx context.Context, r *fsRoot, open func(int64) (device, error)) (*peek, error) {
	c, err := t.readContent(ctx, r.vol, open)
	if err != nil {
		return &peek{sizeBytes: r.vol.sizeBytes, err: err}, nil
	}
	defer c.Close()
	at, err := c.bytes(r.part)
	if err != nil {
		return nil, err
	}
	p := &peek{found: c.found, sizeBytes: at.Size()}
	if r.part == 0 {
		p.short = r.tooShort(c.found, at.Size())
		t.tellShort(r, p.short)
	}
	if r.part != 0 || len(partitions(c.found)) == 0 {
		p.fs, p.err = t.peekContent(ctx, c, r)
	}
	return p, nil
}

// errUnopened says that a peek has to open the volume.
var errUnopened = errors.New("what lies there is known only when it is open")

// peekContent reads a few blocks of a filesystem: directly where that shows what
// an open volume does, as they are not worth a mount. Otherwise the error is
// errUnopened.
func (t *Tree) peekContent(ctx context.Context, c *content, r *fsRoot) (*fsPeek, error) {
	at, found, err := c.probe(ctx, r)
	if err != nil {
		return nil, err
	}
	inner := r.vol.record().Root
	sig := found.Signatures[0]
	room := c.room(r.part)
	t.tellShort(r, r.tooShort(found, room))
	by, err := t.engineFor(ctx, r, found, room)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	if by.live == LiveAuto || by.live == LiveBind {
		if fs, err := t.openMounted(ctx, by, r, infoOf(sig)); err == nil {
			defer fs.Close()
			return peekMounted(ctx, fs, inner)
		}
	}
	if by.engine == EngineKernel && !readsDirectly(sig.Type) {
		return nil, errUnopened
	}
	fs, err := t.openDirect(ctx, sig.Type, at, found)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	defer fs.Close()
	if by.orDirect != "" && !t.replays(fs.Info()) {
		by.readDirectly()
	}
	if by.engine == EngineDirect {
		return peekFS(ctx, fs, inner)
	}
	if fs.Info().Dirty {
		return nil, errUnopened
	}
	f, err := peekFS(ctx, fs, inner)
	if err == nil {
		f.unmounted, f.entries = true, fewEntries(ctx, fs, f.root.attr)
	}
	return f, err
}

// peekOpened opens a volume for a peek.
func (t *Tree) peekOpened(ctx context.Context, r *fsRoot) (f *fsPeek, err error) {
	if !t.leases.holds(r.vol) {
		defer t.leases.passBy(r.vol)
	}
	err = t.withFS(ctx, r, func(fs volfs.FS) (err error) {
		if f, err = peekMounted(ctx, fs, r.vol.record().Root); err == nil {
			f.opened = true
		}
		return err
	})
	return f, err
}

// maxEntries is how many entries of the root folder a peek reads.
const maxEntries = 100

// maxRootBytes is how long the root folder may be for that: one that had many entries
// stays long.
const maxRootBytes = 32 << 10

// fewEntries lists the root folder. It is nil where there are too many entries, or one
// cannot be read.
func fewEntries(ctx context.Context, fs volfs.FS, root volfs.Attr) (list []volfs.DirEntry) {
	if root.Size > maxRootBytes {
		return nil
	}
	err := fs.ReadDir(ctx, fs.Root(), 0, func(e volfs.DirEntry) bool {
		list = append(list, e)
		return len(list) <= maxEntries
	})
	if err != nil || len(list) > maxEntries {
		return nil
	}
	return list
}

// peekMounted is peekFS of what the kernel has mounted: it knows how full that is.
func peekMounted(ctx context.Context, fs volfs.FS, inner string) (*fsPeek, error) {
	f, err := peekFS(ctx, fs, inner)
	if err != nil {
		return nil, err
	}
	s, err := fs.Statfs(ctx)
	if err != nil {
		return nil, err
	}
	f.statfs.Store(&s)
	return f, nil
}

// peekFS reads a filesystem's root, and the folder inner in it.
func peekFS(ctx context.Context, fs volfs.FS, inner string) (*fsPeek, error) {
	f := &fsPeek{info: fs.Info()}
	var err error
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
