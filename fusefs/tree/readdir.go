package tree

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"syscall"

	"thintree/volfs"
)

// Dir is a folder that is being listed. Its methods may be called concurrently,
// until Close; one in a volume keeps the volume open as long.
type Dir struct {
	tree *Tree
	id   NodeID

	// list lists what the filesystem is not asked for; nil where it is.
	list func(cookie uint64, attrs bool, emit func(DirEntry) bool) error

	root  *fsRoot // of a folder in a volume
	lease *lease  // nil where that is not open
}

// DirEntry is one entry of a folder.
type DirEntry struct {
	Name string
	// Ino is the inode number, as Entry.Attr.Ino.
	Ino uint64
	// Type holds the S_IFMT bits of the mode, 0 where the folder does not tell.
	Type uint32
	// Cookie resumes the listing after this entry, also in a Dir that was opened
	// later: what has come or gone meanwhile disturbs nothing else.
	Cookie uint64
	// Entry is all of it where ReadDir was asked for that and it costs no
	// opening; otherwise nil.
	Entry *Entry
}

// OpenDir opens a folder to be listed from the entry after the one with a cookie on, 0:
// from the beginning. This walks into its volume, so opens it; a volume's root can be
// listed before it is open.
func (t *Tree) OpenDir(ctx context.Context, id NodeID, cookie uint64) (*Dir, error) {
	if !id.isFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return nil, err
		}
		if n.fileType() != syscall.S_IFDIR {
			return nil, fmt.Errorf("%s: %w", n.path(), syscall.ENOTDIR)
		}
		return &Dir{tree: t, id: id, list: func(cookie uint64, _ bool, emit func(DirEntry) bool) error {
			return t.listView(ctx, n, cookie, emit)
		}}, nil
	}
	r, err := t.fsRoot(id)
	if err != nil {
		return nil, err
	}
	switch ino := id.ino(); {
	case ino == rawIno || ino == infoIno:
		return nil, fmt.Errorf("%s: %w", r, syscall.ENOTDIR)
	case ino == partsIno || ino == 0 && r.part == 0:
		p, err := t.peek(ctx, r)
		if err != nil {
			return nil, err
		}
		if ino == partsIno || len(partitions(p.found)) > 0 {
			return &Dir{tree: t, id: id, list: func(cookie uint64, _ bool, emit func(DirEntry) bool) error {
				t.listPartitions(r, p, ino, cookie, emit)
				return nil
			}}, nil
		}
	}
	if err := t.stillThere(ctx, r); err != nil {
		return nil, err
	}
	if id.ino() == 0 {
		if listing := r.rootListing(cookie); listing != nil {
			return t.openRoot(ctx, id, r, listing), nil
		}
	}
	l, err := t.leases.acquire(ctx, r.vol)
	if err != nil {
		return nil, err
	}
	if _, err := l.content.current(ctx, r); err != nil {
		t.leases.release(l)
		return nil, err
	}
	return &Dir{tree: t, id: id, root: r, lease: l}, nil
}

// ReadDir calls emit for each entry after the one with the cookie (0: from the
// start) until it returns false. A cookie that is not the Dir's has to be one of an
// entry that it has given. With attrs it gives attributes where they are at hand.
func (d *Dir) ReadDir(ctx context.Context, cookie uint64, attrs bool, emit func(DirEntry) bool) error {
	if d.list != nil {
		return d.list(cookie, attrs, emit)
	}
	return d.lease.content.with(ctx, d.root, func(_ *mounted, fs volfs.FS) error {
		dir := d.root.diskIno(d.id, fs)
		if r, ok := fs.(volfs.AttrReader); ok && attrs {
			return r.ReadDirAttrs(ctx, dir, cookie, func(e volfs.DirEntry, attr *volfs.Attr) bool {
				return d.emit(ctx, fs, e, attr, attrs, emit)
			})
		}
		return fs.ReadDir(ctx, dir, cookie, func(e volfs.DirEntry) bool {
			return d.emit(ctx, fs, e, nil, attrs, emit)
		})
	})
}

// emit calls to with an entry of a folder in a filesystem.
func (d *Dir) emit(ctx context.Context, fs volfs.FS, e volfs.DirEntry, attr *volfs.Attr, attrs bool, to func(DirEntry) bool) bool {
	out, ok := d.root.dirEntry(e, fs.Root())
	if !ok {
		return to(out)
	}
	if attrs && attr == nil && e.Name != "." && e.Name != ".." {
		// An inode that cannot be read is an error for the caller that asks for it.
		if a, err := fs.Stat(ctx, e.Ino); err == nil {
			attr = &a
		}
	}
	if attr != nil {
		id, _ := d.root.fileID(e.Ino, fs.Root())
		full := d.root.entry(id, *attr)
		out.Entry = &full
	}
	return to(out)
}

// dirEntry is an entry of a folder in a filesystem with that root. It is not ok, and lacks
// the inode number, if that cannot be shown.
func (r *fsRoot) dirEntry(e volfs.DirEntry, root volfs.Ino) (out DirEntry, ok bool) {
	out = DirEntry{Name: e.Name, Type: e.Type, Cookie: e.Cookie}
	id, err := r.fileID(e.Ino, root)
	if err != nil {
		return out, false
	}
	out.Ino = r.inodeNumber(id)
	return out, true
}

// Close ends the listing.
func (d *Dir) Close() error {
	if d.lease != nil {
		d.tree.leases.release(d.lease)
	}
	return nil
}

// The cookies of the first two entries of what is in no volume. Those of the
// others are higher.
const (
	dotCookie = 1 + iota
	dotDotCookie
)

// listDots lists "." and "..", and tells whether to go on.
func listDots(self, up, cookie uint64, emit func(DirEntry) bool) bool {
	return (cookie >= dotCookie || emit(DirEntry{Name: ".", Ino: self, Type: syscall.S_IFDIR, Cookie: dotCookie})) &&
		(cookie >= dotDotCookie || emit(DirEntry{Name: "..", Ino: up, Type: syscall.S_IFDIR, Cookie: dotDotCookie}))
}

// listView lists a folder of the view. It gives no attributes: to tell those of
// a volume's root it would have to be looked into, and who only lists names need
// not wait for that. A folder that may have more entries than are known ends with an
// error.
func (t *Tree) listView(ctx context.Context, n *node, cookie uint64, emit func(DirEntry) bool) error {
	up := n
	if n.parent != nil {
		up = n.parent
	}
	if !listDots(uint64(n.id), uint64(up.id), cookie, emit) {
		return nil
	}
	from, _ := slices.BinarySearchFunc(n.listing, cookie+1, func(e *node, c uint64) int { return cmp.Compare(e.cookie, c) })
	for _, e := range n.listing[from:] {
		ino := uint64(e.id)
		if e.root != nil {
			if e.id.ino() == partsIno && !t.partitioned(ctx, e.root) {
				continue
			}
			ino = e.root.inodeNumber(e.id)
		}
		if !emit(DirEntry{Name: e.name, Ino: ino, Type: e.fileType(), Cookie: e.cookie}) {
			return nil
		}
	}
	if n.lost != nil {
		return fmt.Errorf("%s: %w", n.path(), n.lost)
	}
	return nil
}

// listPartitions lists a volume that holds a partition table (ino 0), or the
// images of its partitions (partsIno).
func (t *Tree) listPartitions(r *fsRoot, p *peek, ino volfs.Ino, cookie uint64, emit func(DirEntry) bool) {
	self := r.inodeNumber(r.id(ino))
	if !listDots(self, self, cookie, emit) {
		return
	}
	for _, part := range partitions(p.found) {
		at := t.partition(r.vol, part.Index)
		e := DirEntry{Name: fmt.Sprintf("p%d", part.Index), Ino: at.inodeNumber(at.id(0)), Type: syscall.S_IFDIR}
		if ino == partsIno {
			e = DirEntry{Name: e.Name + ".img", Ino: at.inodeNumber(at.id(rawIno)), Type: syscall.S_IFREG}
		}
		e.Cookie = dotDotCookie + uint64(part.Index)
		if e.Cookie > cookie && !emit(e) {
			return
		}
	}
}
