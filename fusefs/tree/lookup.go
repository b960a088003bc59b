package tree

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/volfs"
)

// Entry is a node with its attributes.
type Entry struct {
	ID NodeID
	// Attr is the result of stat. Its Ino is unique in the tree and the same in
	// every tree of the same sources.
	Attr volfs.Attr
	// DiskIno is the inode number in the volume's filesystem, 0 if the node is not in one.
	DiskIno volfs.Ino
	// NameKept says that the name leads to this node as long as the id of its folder is valid.
	// AttrKept says that the attributes cannot change as long as ID is valid. The kernel may
	// cache both without limit.
	NameKept, AttrKept bool
}

// MissingError says that a folder has no entry with a name. It unwraps to ENOENT.
type MissingError struct {
	Name string
	// Kept says that no such entry can appear as long as the id of the folder is valid.
	Kept bool
}

func (e *MissingError) Error() string { return e.Name + ": no such file or folder" }

// Unwrap makes errors.Is(err, syscall.ENOENT) true.
func (e *MissingError) Unwrap() error { return syscall.ENOENT }

// Lookup finds a name in a folder. It opens the folder's volume, unless the name is that of a
// part or of the folder that containers/ and images/ point at.
func (t *Tree) Lookup(ctx context.Context, dir NodeID, name string) (Entry, error) {
	if len(name) > 255 {
		return Entry{}, fmt.Errorf("%.20s…: %w", name, syscall.ENAMETOOLONG)
	}
	if !dir.IsFile() {
		return t.lookupView(ctx, dir, name)
	}
	r, err := t.root(dir)
	if err != nil {
		return Entry{}, err
	}
	switch r.Ino(dir) {
	case layout.PartsIno:
		return t.lookupImage(ctx, r, name)
	case layout.RawIno, layout.InfoIno:
		return Entry{}, fmt.Errorf("%s: %w", r, syscall.ENOTDIR)
	case 0:
		e, done, err := t.lookupPeeked(ctx, r, name)
		if done || err != nil {
			return e, err
		}
	}
	var e Entry
	err = t.withFS(ctx, r, func(fs volfs.FS) error {
		ino, err := fs.Lookup(ctx, r.diskIno(dir, fs), name)
		if errors.Is(err, syscall.ENOENT) {
			return &MissingError{Name: name, Kept: !r.Volume.Live()}
		}
		if err == nil {
			e, err = t.fileEntry(ctx, r, fs, ino)
		}
		return err
	})
	return e, err
}

// lookupView finds a name in a folder of the layout.
func (t *Tree) lookupView(ctx context.Context, dir NodeID, name string) (Entry, error) {
	d, err := t.viewNode(ctx, dir)
	if err != nil {
		return Entry{}, err
	}
	if d.FileType() != syscall.S_IFDIR {
		return Entry{}, fmt.Errorf("%s: %w", d.Path(), syscall.ENOTDIR)
	}
	n := d.Child(name)
	if n == nil && d.Lost() != nil {
		return Entry{}, fmt.Errorf("%s: %s is not known: %w", d.Path(), name, d.Lost())
	}
	if n == nil || n.IsParts() && !t.hasParts(ctx, t.rootOf(n.Volume)) {
		return Entry{}, &MissingError{Name: name}
	}
	if n.Volume != nil && n.ID() == n.Volume.Slot.ID(0) {
		t.lookedUp(d, n)
	}
	return t.nodeEntry(ctx, n)
}

// lookupPeeked finds the names that need no open volume: parts, and the folder that
// containers/ and images/ point at. done is false if the volume has to be opened for the name.
func (t *Tree) lookupPeeked(ctx context.Context, r *root, name string) (e Entry, done bool, err error) {
	mayHaveParts := r.Volume.Record().MayHavePartitions()
	if !mayHaveParts && (!r.Place.IsWhole() || name != r.Volume.Record().Root || name == "") {
		return Entry{}, false, nil
	}
	p, err := t.peek(ctx, r)
	if err != nil {
		return Entry{}, false, err
	}
	for _, part := range p.Parts() {
		if part.Name == name {
			e, err := t.rootEntry(ctx, t.part(r, part.Place))
			return e, true, err
		}
	}
	if len(p.Parts()) > 0 {
		return Entry{}, true, &MissingError{Name: name, Kept: !r.Volume.Live()}
	}
	inner := p.Inner()
	if inner == nil || name != r.Volume.Record().Root {
		return Entry{}, false, nil
	}
	id, err := r.FileID(inner.Attr.Ino, p.Root().Attr.Ino)
	if err != nil {
		return Entry{}, true, err
	}
	return r.entry(id, inner.Attr), true, nil
}

// fileEntry is the entry of an inode in an open volume.
func (t *Tree) fileEntry(ctx context.Context, r *root, fs volfs.FS, ino volfs.Ino) (Entry, error) {
	id, err := r.FileID(ino, fs.Root())
	if err != nil {
		return Entry{}, err
	}
	attr, err := fs.Stat(ctx, ino)
	if err != nil {
		return Entry{}, err
	}
	return r.entry(id, attr), nil
}

// entry is the Entry of a node in a volume.
func (r *root) entry(id NodeID, attr volfs.Attr) Entry {
	kept := !r.Volume.Live()
	return Entry{ID: id, Attr: r.shown(id, attr), DiskIno: attr.Ino, NameKept: kept, AttrKept: kept}
}

// shown returns a node's attributes with the inode number that the tree shows.
func (r *root) shown(id NodeID, a volfs.Attr) volfs.Attr {
	a.Ino = volfs.Ino(r.InodeNumber(id))
	return a
}

// viewNode finds a node of the layout.
func (t *Tree) viewNode(ctx context.Context, id NodeID) (*layout.Node, error) {
	n := t.current(ctx).Node(id)
	if n == nil {
		return nil, fmt.Errorf("it is no longer in the tree: %w", syscall.ESTALE)
	}
	return n, nil
}
