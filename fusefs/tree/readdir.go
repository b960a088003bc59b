package tree

import (
	"context"
	"fmt"
	"syscall"

	"thintree/volfs"
)

// Dir is an open folder. As long as one in a volume is open, so is the volume.
// Its methods may be called concurrently, until Close.
type Dir struct {
	// Kept says that the folder cannot change.
	Kept bool

	tree *Tree
	id   NodeID

	entries []DirEntry // of what is in no volume

	root  *fsRoot // of a folder in a volume
	lease *lease
	fs    volfs.FS
}

// DirEntry is one entry of a folder.
type DirEntry struct {
	Name string
	// Ino is the inode number, as Entry.Attr.Ino.
	Ino uint64
	// Type holds the S_IFMT bits of the mode, 0 where the folder does not tell.
	Type uint32
	// Cookie resumes the listing after this entry.
	Cookie uint64
	// Entry is all of it where ReadDir was asked for that and it costs no
	// opening; otherwise nil.
	Entry *Entry
}

// OpenDir opens a folder to be listed. This walks into its volume, so opens it.
func (t *Tree) OpenDir(ctx context.Context, id NodeID) (*Dir, error) {
	if !id.isFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return nil, err
		}
		entries, err := t.viewEntries(ctx, n)
		return &Dir{tree: t, id: id, entries: entries}, err
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
		if ino == partsIno || len(p.found.Partitions) > 0 {
			return &Dir{tree: t, id: id, entries: t.partitionEntries(r, p, ino)}, nil
		}
	}
	l, err := t.leases.acquire(ctx, r.vol)
	if err != nil {
		return nil, err
	}
	d := &Dir{tree: t, id: id, root: r, lease: l, Kept: !r.live()}
	if d.fs, err = l.content.fs(ctx, r); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// ReadDir calls emit for each entry after the one with the cookie (0: from the
// start) until it returns false. With attrs it gives attributes where they are
// at hand.
func (d *Dir) ReadDir(ctx context.Context, cookie uint64, attrs bool, emit func(DirEntry) bool) error {
	if d.lease == nil {
		for i := cookie; i < uint64(len(d.entries)); i++ {
			if e := d.entries[i]; !emit(e) {
				return nil
			}
		}
		return nil
	}
	return d.fs.ReadDir(ctx, d.root.diskIno(d.id, d.fs), cookie, func(e volfs.DirEntry) bool {
		out := DirEntry{Name: e.Name, Type: e.Type, Cookie: e.Cookie}
		id, err := d.root.fileID(e.Ino, d.fs.Root())
		if err != nil {
			return emit(out)
		}
		out.Ino = d.root.inodeNumber(id)
		if attrs && e.Name != "." && e.Name != ".." {
			// An inode that cannot be read is told of to who asks for it.
			if full, err := d.tree.fileEntry(ctx, d.root, d.fs, e.Ino); err == nil {
				out.Entry = &full
			}
		}
		return emit(out)
	})
}

// Close ends the listing.
func (d *Dir) Close() error {
	if d.lease != nil {
		d.tree.leases.release(d.lease)
	}
	return nil
}

// viewEntries lists a folder of the view. They are without attributes: to tell
// those of a volume's root it would have to be looked into, and who only lists
// names need not wait for that.
func (t *Tree) viewEntries(ctx context.Context, n *node) ([]DirEntry, error) {
	if n.fileType() != syscall.S_IFDIR {
		return nil, fmt.Errorf("%s: %w", n.path(), syscall.ENOTDIR)
	}
	up := n
	if n.parent != nil {
		up = n.parent
	}
	list := dots(uint64(n.id), uint64(up.id))
	for _, e := range n.entries {
		ino := uint64(e.id)
		if e.root != nil {
			if e.id.ino() == partsIno && !t.partitioned(ctx, e.root) {
				continue
			}
			ino = e.root.inodeNumber(e.id)
		}
		list = append(list, DirEntry{Name: e.name, Ino: ino, Type: e.fileType()})
	}
	return numbered(list), nil
}

// partitionEntries lists a volume that holds a partition table (ino 0), or the
// images of its partitions (partsIno).
func (t *Tree) partitionEntries(r *fsRoot, p *peek, ino volfs.Ino) []DirEntry {
	self := r.inodeNumber(r.id(uint32(ino)))
	list := dots(self, self)
	for _, part := range p.found.Partitions {
		at := t.partition(r.vol, part.Index)
		e := DirEntry{Name: fmt.Sprintf("p%d", part.Index), Ino: at.inodeNumber(at.id(0)), Type: syscall.S_IFDIR}
		if ino == partsIno {
			e = DirEntry{Name: e.Name + ".img", Ino: at.inodeNumber(at.id(rawIno)), Type: syscall.S_IFREG}
		}
		list = append(list, e)
	}
	return numbered(list)
}

func dots(self, up uint64) []DirEntry {
	return []DirEntry{
		{Name: ".", Ino: self, Type: syscall.S_IFDIR},
		{Name: "..", Ino: up, Type: syscall.S_IFDIR},
	}
}

func numbered(list []DirEntry) []DirEntry {
	for i := range list {
		list[i].Cookie = uint64(i) + 1
	}
	return list
}
