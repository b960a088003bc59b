package tree

import (
	"context"
	"syscall"

	"thintree/volfs"
)

// Stat tells a node's attributes. Those of a volume's root, and of the folder
// that containers/ and images/ point at, open nothing.
func (t *Tree) Stat(ctx context.Context, id NodeID) (Entry, error) {
	if !id.isFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return Entry{}, err
		}
		return t.nodeEntry(ctx, n)
	}
	r, err := t.fsRoot(id)
	if err != nil {
		return Entry{}, err
	}
	switch id.ino() {
	case 0:
		return t.rootEntry(ctx, r)
	case rawIno:
		return t.rawEntry(ctx, r)
	case partsIno:
		return Entry{ID: id, Attr: r.shown(id, made(syscall.S_IFDIR|0o555, r.vol.pool.listing.Load().when))}, nil
	case infoIno:
		return t.infoEntry(ctx, id)
	}
	if p := r.peeks.last.Load(); p.valid(r.live()) {
		if f := p.folder(id.ino()); f != nil {
			return r.entry(id, f.attr), nil
		}
	}
	var e Entry
	err = t.withFS(ctx, r, func(fs volfs.FS) (err error) {
		e, err = t.fileEntry(ctx, r, fs, id.ino())
		return err
	})
	return e, err
}

// rootEntry is the root of a volume or partition. Its name can come to mean
// another volume.
func (t *Tree) rootEntry(ctx context.Context, r *fsRoot) (Entry, error) {
	id := r.id(0)
	p, err := t.peek(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	if p.fs == nil {
		// A partition table, or nothing that can be read: an empty hand, but
		// a folder all the same.
		return Entry{ID: id, Attr: r.shown(id, made(syscall.S_IFDIR|0o555, r.vol.pool.listing.Load().when))}, nil
	}
	e := r.entry(id, p.fs.root.attr)
	e.NameKept = e.NameKept && r.part != 0
	return e, nil
}

// nodeEntry is the entry of a node of the view.
func (t *Tree) nodeEntry(ctx context.Context, n *node) (Entry, error) {
	if n.root != nil {
		return t.Stat(ctx, n.id)
	}
	if n.pool != nil {
		return t.infoEntry(ctx, n.id)
	}
	e := Entry{ID: n.id, Attr: made(syscall.S_IFDIR|0o555, n.when)}
	if n.target != "" {
		e.Attr = made(syscall.S_IFLNK|0o777, n.when)
		e.Attr.Size = int64(len(n.target))
	}
	e.Attr.Ino = volfs.Ino(n.id)
	return e, nil
}

// made is the attributes of what is in no volume: its owner is who runs
// thintree. when is in nanoseconds since 1970.
func made(mode uint32, when int64) volfs.Attr {
	uid, gid := owner()
	t := volfs.Time{Sec: when / 1e9, Nsec: uint32(when % 1e9)}
	return volfs.Attr{
		Mode: mode, Nlink: 1, UID: uid, GID: gid, BlockSize: 4096,
		Atime: t, Mtime: t, Ctime: t,
	}
}

// sectors is how many sectors of 512 bytes hold so many bytes.
func sectors(bytes int64) uint64 { return uint64(bytes+511) / 512 }
