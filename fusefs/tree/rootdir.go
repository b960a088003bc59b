package tree

import (
	"context"

	"thintree/volfs"
)

// rootListing is the root folder of a volume that does not change, as a peek has told it.
type rootListing struct {
	root    volfs.Ino
	entries []volfs.DirEntry // nil where the filesystem has to be asked
}

// rootListing is what the root folder is listed by. Whether the filesystem has to be
// asked stays as it was first: each numbers the entries in its own way.
func (r *fsRoot) rootListing() *rootListing {
	if r.live() {
		return &rootListing{}
	}
	if r.listing.Load() == nil {
		var l rootListing
		if p := r.peeks.last.Load(); p.valid(false) && p.fs != nil {
			l = rootListing{p.fs.root.attr.Ino, p.fs.entries}
		}
		r.listing.CompareAndSwap(nil, &l)
	}
	return r.listing.Load()
}

// openRoot opens the root folder of a volume to be listed by what a peek has told. At
// the end of the listing the filesystem in it is opened, for who will walk on.
func (t *Tree) openRoot(ctx context.Context, id NodeID, r *fsRoot, l *rootListing) *Dir {
	d := &Dir{tree: t, id: id, root: r}
	d.lease, d.fs = t.opened(ctx, r)
	d.list = func(cookie uint64, attrs bool, emit func(DirEntry) bool) {
		if d.fs == nil && cookie >= uint64(len(l.entries)) {
			t.openSoon(r)
		}
		for i := cookie; i < uint64(len(l.entries)); i++ {
			e := l.entries[i]
			e.Cookie = i + 1
			if !d.emit(ctx, e, l.root, nil, attrs && d.fs != nil, emit) {
				return
			}
		}
	}
	return d
}

// opened is the filesystem at a root where it is open: nothing is waited for.
func (t *Tree) opened(ctx context.Context, r *fsRoot) (*lease, volfs.FS) {
	l := t.leases.joinOpen(r.vol)
	if l == nil {
		return nil, nil
	}
	if fs := l.content.opened(r.part); fs != nil {
		return l, fs
	}
	t.leases.release(l)
	return nil, nil
}

// openSoon opens the filesystem at a root, unless it would have to wait in turn for
// that.
func (t *Tree) openSoon(r *fsRoot) {
	if !t.leases.mayOpen(r.vol) {
		return
	}
	t.leases.background.Go(func() {
		l, err := t.leases.acquire(context.Background(), r.vol)
		if err != nil {
			return // who walks on is told
		}
		defer t.leases.release(l)
		_, _ = l.content.fs(context.Background(), r)
	})
}

// joinOpen takes a reference to the lease of a volume that is open; nil where it is not.
func (ls *leases) joinOpen(v *volume) *lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.held[v]
	if l == nil || l.closing || ls.closed {
		return nil
	}
	select {
	case <-l.ready:
	default:
		return nil
	}
	if l.err != nil {
		return nil
	}
	ls.use(l)
	return l
}

// mayOpen tells whether a volume can be opened without waiting for others to be done.
func (ls *leases) mayOpen(v *volume) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return !ls.closed && (ls.held[v] != nil || ls.slots < ls.max || ls.queue.Len() == 0 && ls.unused.Len() > 0)
}
