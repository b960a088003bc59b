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
	d.lease = t.leases.joinOpen(r.vol)
	d.list = func(cookie uint64, attrs bool, emit func(DirEntry) bool) error {
		first := cookie &^ peekedCookie
		used := d.withOpen(func(fs volfs.FS) {
			l.each(first, func(e volfs.DirEntry) bool { return d.emit(ctx, fs, e, nil, attrs, emit) })
		})
		if used {
			return nil
		}
		if first == uint64(len(l.entries)) {
			t.openSoon(r)
		}
		l.each(first, func(e volfs.DirEntry) bool {
			out, _ := r.dirEntry(e, l.root)
			return emit(out)
		})
		return nil
	}
	return d
}

// each calls emit with the entries from one on, until that is false.
func (l *rootListing) each(first uint64, emit func(volfs.DirEntry) bool) {
	for i := first; i < uint64(len(l.entries)); i++ {
		e := l.entries[i]
		if e.Cookie = peekedCookie + i + 1; !emit(e) {
			return
		}
	}
}

// withOpen calls use with the folder's filesystem if that is open: nothing is waited for.
func (d *Dir) withOpen(use func(volfs.FS)) (used bool) {
	if d.lease == nil {
		return false
	}
	m := d.lease.content.open(d.root.part)
	if m == nil {
		return false
	}
	used, _ = m.use(func(fs volfs.FS) error {
		use(fs)
		return nil
	})
	return used
}

// openSoon opens the filesystem at a root, unless somebody does, or it would have to
// wait for others. There is one at a time that is opened so.
func (t *Tree) openSoon(r *fsRoot) {
	t.leases.soon(r.vol, func(ctx context.Context, l *lease) {
		_, _ = l.content.current(ctx, r) // the caller that walks on is told why not
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
