package tree

import (
	"context"
	"os"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/thin/blockdev"
	"thintree/volfs"
)

// Stat returns a node's attributes. It does not open the volume for the attributes of the
// volume's root, nor for those of the folder that containers/ and images/ point at.
func (t *Tree) Stat(ctx context.Context, id NodeID) (Entry, error) {
	if !id.IsFile() {
		n, err := t.viewNode(ctx, id)
		if err != nil {
			return Entry{}, err
		}
		return t.nodeEntry(ctx, n)
	}
	r, err := t.root(id)
	if err != nil {
		return Entry{}, err
	}
	ino := r.Ino(id)
	switch ino {
	case 0:
		return t.rootEntry(ctx, r)
	case layout.RawIno:
		return t.rawEntry(ctx, r)
	case layout.PartsIno:
		return t.partsEntry(r), nil
	case layout.InfoIno:
		return t.infoEntry(ctx, id)
	}
	if p := r.LastPeek(); p != nil {
		if f := p.Folder(ino); f != nil {
			return r.entry(id, f.Attr), nil
		}
	}
	var e Entry
	err = t.withFS(ctx, r, func(fs volfs.FS) (err error) {
		e, err = t.fileEntry(ctx, r, fs, ino)
		return err
	})
	return e, err
}

// rootEntry is the entry of the root of a volume or of a part of one. A volume's name must not be
// cached without limit: it can be given to another volume.
func (t *Tree) rootEntry(ctx context.Context, r *root) (Entry, error) {
	id := r.ID(0)
	p, err := t.peek(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	if !p.HasFS() {
		// It is a folder even if it has parts, or nothing readable is on it.
		return Entry{ID: id, Attr: r.shown(id, made(syscall.S_IFDIR|0o555, r.Volume.When()))}, nil
	}
	e := r.entry(id, p.Root().Attr)
	e.NameKept = e.NameKept && !r.Place.IsWhole()
	return e, nil
}

// nodeEntry is the entry of a node of the layout.
func (t *Tree) nodeEntry(ctx context.Context, n *layout.Node) (Entry, error) {
	if n.Volume != nil {
		return t.Stat(ctx, n.ID())
	}
	if n.Pool() != nil {
		return t.infoEntry(ctx, n.ID())
	}
	e := Entry{ID: n.ID(), Attr: made(syscall.S_IFDIR|0o555, n.When)}
	if n.Target != "" {
		e.Attr = made(syscall.S_IFLNK|0o777, n.When)
		e.Attr.Size = int64(len(n.Target))
	}
	e.Attr.Ino = volfs.Ino(n.ID())
	return e, nil
}

// made returns the attributes of a node that thintree makes itself. Its owner is the user that
// runs thintree. when is in nanoseconds since 1970.
func made(mode uint32, when int64) volfs.Attr {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	t := volfs.Time{Sec: when / 1e9, Nsec: uint32(when % 1e9)}
	return volfs.Attr{
		Mode: mode, Nlink: 1, UID: uid, GID: gid, BlockSize: 4096,
		Atime: t, Mtime: t, Ctime: t,
	}
}

// sectors is a length in 512-byte sectors, rounded up.
func sectors(bytes int64) uint64 { return uint64(bytes+blockdev.SectorBytes-1) / blockdev.SectorBytes }
