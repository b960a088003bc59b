package tree

import (
	"context"

	"thintree/fusefs/volume"
	"thintree/volfs"
)

// rootListing is the root folder of a volume that does not change, as a peek has read it.
type rootListing struct {
	root    volfs.Ino
	entries []volfs.DirEntry
}

// peekedCookie and what follows are the cookies of a rootListing's entries: a listing
// that has begun by one goes on by it, and others by the filesystem. ext4, which is the
// only one that these come from, has none like them: the hash that would be its upper
// half is left out (EXT4_HTREE_EOF_32BIT), but for the end, whose lower half is all ones.
const peekedCookie = 0x7fffffff << 32

func isPeeked(cookie uint64) bool {
	return cookie >= peekedCookie && cookie <= peekedCookie+volume.MaxEntries
}

// rootListing is what the root folder is listed by after a cookie; nil if the
// filesystem has to be asked.
func (r *root) rootListing(cookie uint64) *rootListing {
	switch {
	case isPeeked(cookie):
		return r.listing.Load()
	case cookie != 0 || r.Volume.Live():
		return nil
	}
	if p := r.LastPeek(); p != nil && p.Entries() != nil {
		r.listing.CompareAndSwap(nil, &rootListing{p.Root().Attr.Ino, p.Entries()})
	}
	return r.listing.Load()
}

// openRoot opens the root folder of a volume to be listed by what a peek has read. At
// the end of the listing the filesystem in it is opened, for a caller that walks on.
func (t *Tree) openRoot(ctx context.Context, id NodeID, r *root, l *rootListing) *Dir {
	d := &Dir{tree: t, id: id, root: r}
	d.lease = t.leases.AcquireOpen(r.Volume)
	d.list = func(cookie uint64, attrs bool, emit func(DirEntry) bool) error {
		first := cookie &^ peekedCookie
		used := d.withOpen(func(fs volfs.FS) {
			l.each(first, func(e volfs.DirEntry) bool { return d.emit(ctx, fs, e, nil, attrs, emit) })
		})
		if used {
			return nil
		}
		if first == uint64(len(l.entries)) {
			t.openAhead(r)
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

// withOpen calls use with the folder's filesystem if that is open: it waits for nothing.
func (d *Dir) withOpen(use func(volfs.FS)) (used bool) {
	return d.lease != nil && d.lease.Resource().UseOpen(d.root.Root, use)
}

// openAhead opens the filesystem at a root, unless somebody does, or it would have to wait
// for others.
func (t *Tree) openAhead(r *root) {
	t.leases.OpenAhead(r.Volume, func(ctx context.Context, l *volumeLease) {
		_ = l.Resource().Ready(ctx, r.Root) // the caller that walks on gets the error
	})
}
