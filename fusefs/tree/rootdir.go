package tree

import (
	"context"

	"thintree/volfs"
)

// rootListing is the root folder of a volume that does not change, as a peek has told it.
type rootListing struct {
	root    volfs.Ino
	entries []volfs.DirEntry
}

// peekedCookie and what follows are the cookies of a rootListing's entries: a listing
// that has begun by one goes on by it, and others by the filesystem. ext4, which is the
// only one that these come from, has none like them: the hash that would be its upper
// half is left out (EXT4_HTREE_EOF_32BIT), but for the end, whose lower half is all ones.
const peekedCookie = 0x7fffffff << 32

func isPeeked(cookie uint64) bool { return cookie >= peekedCookie && cookie <= peekedCookie+maxEntries }

// rootListing is what the root folder is listed by after a cookie; nil where the
// filesystem has to be asked.
func (r *fsRoot) rootListing(cookie uint64) *rootListing {
	switch {
	case isPeeked(cookie):
		return r.listing.Load()
	case cookie != 0 || r.live():
		return nil
	}
	if p := r.peeks.last.Load(); p.valid(false) && p.fs != nil && p.fs.entries != nil {
		r.listing.CompareAndSwap(nil, &rootListing{p.fs.root.attr.Ino, p.fs.entries})
	}
	return r.listing.Load()
}

// openRoot opens the root folder of a volume to be listed by what a peek has told. At
// the end of the listing the filesystem in it is opened, for who will walk on.
func (t *Tree) openRoot(ctx context.Context, id NodeID, r *fsRoot, l *rootListing) *Dir {
	d := &Dir{tree: t, id: id, root: r}
	d.lease, d.fs = t.opened(r)
	d.list = func(cookie uint64, attrs bool, emit func(DirEntry) bool) error {
		first := cookie &^ peekedCookie
		if d.fs == nil && first == uint64(len(l.entries)) {
			t.openSoon(r)
		}
		for i := first; i < uint64(len(l.entries)); i++ {
			e := l.entries[i]
			e.Cookie = peekedCookie + i + 1
			if !d.emit(ctx, e, l.root, nil, attrs && d.fs != nil, emit) {
				return nil
			}
		}
		return nil
	}
	return d
}

// opened is the filesystem at a root where it is open: nothing is waited for.
func (t *Tree) opened(r *fsRoot) (*lease, volfs.FS) {
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

// openSoon opens the filesystem at a root, unless somebody does, or it would have to
// wait for others. There is one at a time that is opened so.
func (t *Tree) openSoon(r *fsRoot) {
	t.leases.soon(r.vol, func(ctx context.Context, l *lease) {
		_, _ = l.content.fs(ctx, r) // who walks on is told why not
	})
}

// soon opens a volume that is not open, and calls use with its lease in the background.
func (ls *leases) soon(v *volume, use func(context.Context, *lease)) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	room := ls.slots < ls.max || ls.queue.Len() == 0 && ls.unused.Len() > 0
	if ls.closed || ls.opening || ls.held[v] != nil || !room {
		return
	}
	ls.opening = true
	l := ls.create(v)
	ls.background.Go(func() {
		if <-l.ready; l.err == nil {
			use(ls.running, l)
		}
		ls.release(l)
		ls.mu.Lock()
		defer ls.mu.Unlock()
		ls.opening = false
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
