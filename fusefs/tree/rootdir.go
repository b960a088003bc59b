package tree

import (
	"context"

	"thintree/fusefs/volume"
	"thintree/volfs"
)

// rootListing is the entries of the root folder of an unchanging volume, as a peek has read
// them.
type rootListing struct {
	root    volfs.Ino
	entries []volfs.DirEntry
}

// peekedCookie is added to an entry's position for the cookies of a rootListing. A listing that
// began with a rootListing goes on with it, and any other with the filesystem. rootListings are
// only of ext4, which has no such cookies itself: it leaves out the hash that would be their
// upper half (EXT4_HTREE_EOF_32BIT), except in the cookie of the end, whose lower half is all
// ones.
const peekedCookie = 0x7fffffff << 32

func isPeeked(cookie uint64) bool {
	return cookie >= peekedCookie && cookie <= peekedCookie+volume.MaxEntries
}

// rootListing returns the entries with which the root folder is listed after a cookie, nil if
// the filesystem has to list it.
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

// openRoot opens the root folder of a volume, to be listed from a peek. When the listing has
// reached its end the filesystem is opened ahead, for a caller that enters the volume next.
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

// each calls emit for the entries from position first on, until emit returns false.
func (l *rootListing) each(first uint64, emit func(volfs.DirEntry) bool) {
	for i := first; i < uint64(len(l.entries)); i++ {
		e := l.entries[i]
		if e.Cookie = peekedCookie + i + 1; !emit(e) {
			return
		}
	}
}

// withOpen calls use with the folder's filesystem if that is open. It never waits.
func (d *Dir) withOpen(use func(volfs.FS)) (used bool) {
	return d.lease != nil && d.lease.Resource().UseOpen(d.root.Root, use)
}

// openAhead opens the filesystem at a root in the background, unless another caller has done so
// or the volume would have to wait for its turn.
func (t *Tree) openAhead(r *root) {
	t.leases.OpenAhead(r.Volume, func(ctx context.Context, l *volumeLease) {
		_ = l.Resource().Ready(ctx, r.Root) // a caller that enters the volume gets the error
	})
}
