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

// list lists the root folder at r.
func (l *rootListing) list(r *fsRoot, cookie uint64, emit func(DirEntry) bool) {
	for i := cookie; i < uint64(len(l.entries)); i++ {
		e := l.entries[i]
		out := DirEntry{Name: e.Name, Type: e.Type, Cookie: i + 1}
		if id, err := r.fileID(e.Ino, l.root); err == nil {
			out.Ino = r.inodeNumber(id)
		}
		if !emit(out) {
			return
		}
	}
}

// openSoon opens the filesystem at a root for who has listed it and will walk on,
// unless it would have to wait in turn for that.
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

// mayOpen tells whether a volume can be opened without waiting for others to be done.
func (ls *leases) mayOpen(v *volume) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return !ls.closed && (ls.held[v] != nil || ls.slots < ls.max || ls.queue.Len() == 0 && ls.unused.Len() > 0)
}
