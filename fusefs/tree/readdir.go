package tree

import (
	"context"
	"fmt"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/volfs"
)

// Dir is a folder that is being listed. Its methods may be called concurrently, until Close. A
// Dir of a folder in a filesystem keeps the volume open until then.
type Dir struct {
	tree *Tree
	id   NodeID

	// list lists the folder without the filesystem; nil if the filesystem lists it.
	list func(cookie uint64, attrs bool, emit func(DirEntry) bool) error

	root  *root        // nil unless the folder is in a filesystem
	lease *volumeLease // nil if the volume is not open
}

// DirEntry is one entry of a folder.
type DirEntry struct {
	Name string
	// Ino is the inode number, as Entry.Attr.Ino.
	Ino uint64
	// Type is the S_IFMT bits of the mode, 0 if the folder does not record them.
	Type uint32
	// Cookie resumes the listing after this entry, even in a Dir that was opened later.
	// Entries that were added or removed meanwhile do not affect the others.
	Cookie uint64
	// Entry is the whole entry, if ReadDir was asked for attributes and can read them without
	// opening a volume. Otherwise it is nil.
	Entry *Entry
}

// OpenDir opens a folder for a listing that begins after the entry with the cookie, or with the
// first entry if the cookie is 0. It opens the folder's volume, except for the volume's root
// folder if a peek has read its entries.
func (t *Tree) OpenDir(ctx context.Context, id NodeID, cookie uint64) (*Dir, error) {
	if !id.IsFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return nil, err
		}
		if n.FileType() != syscall.S_IFDIR {
			return nil, fmt.Errorf("%s: %w", n.Path(), syscall.ENOTDIR)
		}
		return &Dir{tree: t, id: id, list: func(cookie uint64, _ bool, emit func(DirEntry) bool) error {
			return t.listLayout(ctx, n, cookie, emit)
		}}, nil
	}
	r, err := t.root(id)
	if err != nil {
		return nil, err
	}
	ino := r.Ino(id)
	switch {
	case ino == layout.RawIno || ino == layout.InfoIno:
		return nil, fmt.Errorf("%s: %w", r, syscall.ENOTDIR)
	case ino == layout.PartsIno || ino == 0 && r.Volume.Record().MayHavePartitions():
		p, err := t.peek(ctx, r)
		if err != nil {
			return nil, err
		}
		if ino == layout.PartsIno {
			return &Dir{tree: t, id: id, list: func(cookie uint64, _ bool, emit func(DirEntry) bool) error {
				t.listImages(ctx, r, p.Parts(), cookie, emit)
				return nil
			}}, nil
		}
		if len(p.Parts()) > 0 {
			return &Dir{tree: t, id: id, list: func(cookie uint64, _ bool, emit func(DirEntry) bool) error {
				t.listParts(r, p.Parts(), cookie, emit)
				return nil
			}}, nil
		}
	}
	if err := t.stillThere(ctx, r); err != nil {
		return nil, err
	}
	if ino == 0 {
		if listing := r.rootListing(cookie); listing != nil {
			return t.openRoot(ctx, id, r, listing), nil
		}
	}
	l, err := t.leases.Acquire(ctx, r.Volume)
	if err != nil {
		return nil, err
	}
	if err := l.Resource().Ready(ctx, r.Root); err != nil {
		t.leases.Release(l)
		return nil, err
	}
	return &Dir{tree: t, id: id, root: r, lease: l}, nil
}

// ReadDir calls emit for each entry after the one with the cookie (0 for all), until emit
// returns false. The cookie must be that of OpenDir, or that of an entry that this Dir has
// emitted. If attrs is true, entries come with their attributes if these can be read without
// opening a volume.
func (d *Dir) ReadDir(ctx context.Context, cookie uint64, attrs bool, emit func(DirEntry) bool) error {
	if d.list != nil {
		return d.list(cookie, attrs, emit)
	}
	return d.lease.Resource().WithOnce(ctx, d.root.Root, func(fs volfs.FS) error {
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

// emit calls to with an entry of a folder in a filesystem, and with its attributes if attrs is
// true.
func (d *Dir) emit(ctx context.Context, fs volfs.FS, e volfs.DirEntry, attr *volfs.Attr, attrs bool, to func(DirEntry) bool) bool {
	out, ok := d.root.dirEntry(e, fs.Root())
	if !ok {
		return to(out)
	}
	if attrs && attr == nil && e.Name != "." && e.Name != ".." {
		// If the inode cannot be read, a caller that looks it up gets the error.
		if a, err := fs.Stat(ctx, e.Ino); err == nil {
			attr = &a
		}
	}
	if attr != nil {
		id, _ := d.root.FileID(e.Ino, fs.Root())
		full := d.root.entry(id, *attr)
		out.Entry = &full
	}
	return to(out)
}

// dirEntry makes the DirEntry of an entry in a filesystem with that root. ok is false, and the
// inode number missing, if the number on the disk is too high to be shown.
func (r *root) dirEntry(e volfs.DirEntry, root volfs.Ino) (out DirEntry, ok bool) {
	out = DirEntry{Name: e.Name, Type: e.Type, Cookie: e.Cookie}
	id, err := r.FileID(e.Ino, root)
	if err != nil {
		return out, false
	}
	out.Ino = r.InodeNumber(id)
	return out, true
}

// Close ends the listing.
func (d *Dir) Close() error {
	if d.lease != nil {
		d.tree.leases.Release(d.lease)
	}
	return nil
}

// listDots lists "." and "..", and reports whether to go on.
func listDots(self, up, cookie uint64, emit func(DirEntry) bool) bool {
	return (cookie >= layout.DotCookie || emit(DirEntry{Name: ".", Ino: self, Type: syscall.S_IFDIR, Cookie: layout.DotCookie})) &&
		(cookie >= layout.DotDotCookie || emit(DirEntry{Name: "..", Ino: up, Type: syscall.S_IFDIR, Cookie: layout.DotDotCookie}))
}

// listLayout lists a folder of the layout. It emits no attributes: those of a volume's root
// need a peek, and a caller that lists only names should not wait for it. If the folder may have
// more entries than are known it returns an error at the end.
func (t *Tree) listLayout(ctx context.Context, n *layout.Node, cookie uint64, emit func(DirEntry) bool) error {
	up := n
	if n.Parent != nil {
		up = n.Parent
	}
	if !listDots(n.InodeNumber(), up.InodeNumber(), cookie, emit) {
		return nil
	}
	for _, e := range n.After(cookie) {
		if e.IsParts() && !t.hasParts(ctx, t.rootOf(e.Volume)) {
			continue
		}
		if !emit(DirEntry{Name: e.Name, Ino: e.InodeNumber(), Type: e.FileType(), Cookie: e.Cookie}) {
			return nil
		}
	}
	if lost := n.Lost(); lost != nil {
		return fmt.Errorf("%s: %w", n.Path(), lost)
	}
	return nil
}

// listParts lists the parts of a root as folders.
func (t *Tree) listParts(r *root, parts []volume.Part, cookie uint64, emit func(DirEntry) bool) {
	self := r.InodeNumber(r.ID(0))
	if !listDots(self, self, cookie, emit) {
		return
	}
	for i, part := range parts {
		at := t.part(r, part.Place)
		e := DirEntry{Name: part.Name, Ino: at.InodeNumber(at.ID(0)), Type: syscall.S_IFDIR, Cookie: layout.DotDotCookie + 1 + uint64(i)}
		if e.Cookie > cookie && !emit(e) {
			return
		}
	}
}

// listImages lists the images of a root's parts, and the folders of the images of theirs.
func (t *Tree) listImages(ctx context.Context, r *root, parts []volume.Part, cookie uint64, emit func(DirEntry) bool) {
	self := r.InodeNumber(r.ID(layout.PartsIno))
	if !listDots(self, self, cookie, emit) {
		return
	}
	for i, part := range parts {
		at, next := t.part(r, part.Place), layout.DotDotCookie+1+2*uint64(i)
		image := DirEntry{Name: part.Name + imageSuffix, Ino: at.InodeNumber(at.ID(layout.RawIno)), Type: syscall.S_IFREG, Cookie: next}
		if next > cookie && !part.Place.IsGroup() && !emit(image) {
			return
		}
		folder := DirEntry{Name: part.Name + partsSuffix, Ino: at.InodeNumber(at.ID(layout.PartsIno)), Type: syscall.S_IFDIR, Cookie: next + 1}
		if next+1 > cookie && t.hasParts(ctx, at) && !emit(folder) {
			return
		}
	}
}
