package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"thintree/thin"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// Entry is a node with its attributes.
type Entry struct {
	ID NodeID
	// Attr is what stat shows. Its Ino is unique in the tree and the same in
	// every tree of the same sources.
	Attr volfs.Attr
	// DiskIno is the inode number in the filesystem that it lies in, 0 if it lies in none.
	DiskIno volfs.Ino
	// NameKept says that the name can mean nothing else as long as its folder's
	// id is valid, AttrKept that the attributes cannot change as long as ID is
	// valid: both can be cached without limit.
	NameKept, AttrKept bool
}

// MissingError says that a folder has no entry of a name. It unwraps to ENOENT.
type MissingError struct {
	Name string
	// Kept says that there can be none as long as the folder's id is valid.
	Kept bool
}

func (e *MissingError) Error() string { return e.Name + ": no such file or folder" }

// Unwrap makes errors.Is(err, syscall.ENOENT) true.
func (e *MissingError) Unwrap() error { return syscall.ENOENT }

// Lookup finds a name in a folder. It walks into the volume of the folder, so
// opens it, unless the name is of the folder that containers/ and images/ point
// at.
func (t *Tree) Lookup(ctx context.Context, dir NodeID, name string) (Entry, error) {
	if len(name) > 255 {
		return Entry{}, fmt.Errorf("%.20s…: %w", name, syscall.ENAMETOOLONG)
	}
	if !dir.isFile() {
		return t.lookupView(ctx, dir, name)
	}
	r, err := t.fsRoot(dir)
	if err != nil {
		return Entry{}, err
	}
	switch dir.ino() {
	case partsIno:
		return t.lookupImage(ctx, r, name)
	case rawIno, infoIno:
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
			return &MissingError{Name: name, Kept: !r.live()}
		}
		if err == nil {
			e, err = t.fileEntry(ctx, r, fs, ino)
		}
		return err
	})
	return e, err
}

// lookupView finds a name in a folder of the view.
func (t *Tree) lookupView(ctx context.Context, dir NodeID, name string) (Entry, error) {
	d, err := t.viewNode(ctx, dir)
	if err != nil {
		return Entry{}, err
	}
	if d.fileType() != syscall.S_IFDIR {
		return Entry{}, fmt.Errorf("%s: %w", d.path(), syscall.ENOTDIR)
	}
	n := d.child(name)
	if n == nil && d.lost != nil {
		return Entry{}, fmt.Errorf("%s: %s is not known: %w", d.path(), name, d.lost)
	}
	if n == nil || n.id.isFile() && n.id.ino() == partsIno && !t.partitioned(ctx, n.root) {
		return Entry{}, &MissingError{Name: name}
	}
	return t.nodeEntry(ctx, n)
}

// lookupPeeked finds what needs no open volume: a partition, and the folder that
// containers/ and images/ point at. Not done means that the volume has to be
// opened for it.
func (t *Tree) lookupPeeked(ctx context.Context, r *fsRoot, name string) (e Entry, done bool, err error) {
	partitioned := r.part == 0 && r.vol.mayHavePartitions()
	if !partitioned && (r.part != 0 || name != r.vol.record().Root || name == "") {
		return Entry{}, false, nil
	}
	p, err := t.peek(ctx, r)
	if err != nil {
		return Entry{}, false, err
	}
	if partitioned && len(partitions(p.found)) > 0 {
		n, ok := parsePartition(name)
		for _, part := range partitions(p.found) {
			if ok && part.Index == n {
				e, err := t.rootEntry(ctx, t.partition(r.vol, n))
				return e, true, err
			}
		}
		return Entry{}, true, &MissingError{Name: name, Kept: !r.live()}
	}
	if p.fs == nil || p.fs.inner.attr.Ino == 0 || name != r.vol.record().Root {
		return Entry{}, false, nil
	}
	id, err := r.fileID(p.fs.inner.attr.Ino, p.fs.root.attr.Ino)
	if err != nil {
		return Entry{}, true, err
	}
	return r.entry(id, p.fs.inner.attr), true, nil
}

// parsePartition reads "p2".
func parsePartition(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "p")
	if !ok || digits == "" || digits[0] == '0' || len(digits) > 3 {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// fileEntry is the entry of an inode in an open volume.
func (t *Tree) fileEntry(ctx context.Context, r *fsRoot, fs volfs.FS, ino volfs.Ino) (Entry, error) {
	id, err := r.fileID(ino, fs.Root())
	if err != nil {
		return Entry{}, err
	}
	attr, err := fs.Stat(ctx, ino)
	if err != nil {
		return Entry{}, err
	}
	return r.entry(id, attr), nil
}

// entry is that of a node in a volume with its attributes.
func (r *fsRoot) entry(id NodeID, attr volfs.Attr) Entry {
	return Entry{ID: id, Attr: r.shown(id, attr), DiskIno: attr.Ino, NameKept: !r.live(), AttrKept: !r.live()}
}

// shown is a file's attributes as the tree shows them.
func (r *fsRoot) shown(id NodeID, a volfs.Attr) volfs.Attr {
	a.Ino = volfs.Ino(r.inodeNumber(id))
	return a
}

// live reports whether the volume may change, or may have changed since it became what it
// is here: see usage.
func (r *fsRoot) live() bool {
	p := r.vol.pool
	return p.reader.Live() && p.usage.changing(r.vol.deviceID, r.vol.signs)
}

// diskIno is the inode number on the disk of a node.
func (r *fsRoot) diskIno(id NodeID, fs volfs.FS) volfs.Ino {
	if id.ino() == 0 {
		return fs.Root()
	}
	return id.ino()
}

// fsRoot finds the volume or partition that a file's node is in.
func (t *Tree) fsRoot(id NodeID) (*fsRoot, error) {
	r := t.slots.get(id)
	if r == nil {
		return nil, fmt.Errorf("the volume is gone: %w", syscall.ESTALE)
	}
	return r, nil
}

// stillThere looks whether a volume is still what it was: who walks in it does
// not pass the views, where that would be seen.
func (t *Tree) stillThere(ctx context.Context, r *fsRoot) error {
	if t.current(ctx); r.vol.gone.Load() {
		return fmt.Errorf("%s: the volume is gone, or its pool is in use by somebody since: %w", r, syscall.ESTALE)
	}
	return nil
}

// viewNode finds a node of the view.
func (t *Tree) viewNode(ctx context.Context, id NodeID) (*node, error) {
	n := t.current(ctx).nodes[id]
	if n == nil {
		return nil, fmt.Errorf("what was shown there is gone: %w", syscall.ESTALE)
	}
	return n, nil
}

// withFS opens the volume of a root, or joins those who use it, and calls use
// with its filesystem.
func (t *Tree) withFS(ctx context.Context, r *fsRoot, use func(volfs.FS) error) error {
	if err := t.stillThere(ctx, r); err != nil {
		return err
	}
	l, err := t.leases.acquire(ctx, r.vol)
	if err != nil {
		return err
	}
	defer t.leases.release(l)
	for again := false; ; again = true {
		var used *mounted
		err := l.content.with(ctx, r, func(m *mounted, fs volfs.FS) error {
			used = m
			return use(fs)
		})
		if again || !errors.Is(err, kernelfs.ErrNotMounted) && !errors.Is(err, thin.ErrChanged) {
			return err
		}
		if used != nil { // its owner has unmounted it, or changed it
			l.content.drop(r.part, used)
		}
	}
}
