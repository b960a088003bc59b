package tree

import (
	"context"
	"fmt"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/volfs"
)

// Xattr returns the value of an extended attribute. The error is ENODATA if there is no
// attribute with that name.
func (t *Tree) Xattr(ctx context.Context, id NodeID, name string) ([]byte, error) {
	var value []byte
	err := t.withXattrs(ctx, id, func(p *volume.Folder) error {
		var ok bool
		if value, ok = p.Xattrs[name]; !ok {
			return noXattr(name)
		}
		return nil
	}, func(fs volfs.FS, ino volfs.Ino) (err error) {
		value, err = fs.Xattr(ctx, ino, name)
		return err
	})
	return value, err
}

// Xattrs lists the names of a node's extended attributes.
func (t *Tree) Xattrs(ctx context.Context, id NodeID) ([]string, error) {
	var names []string
	err := t.withXattrs(ctx, id, func(p *volume.Folder) error {
		for name := range p.Xattrs {
			names = append(names, name)
		}
		return nil
	}, func(fs volfs.FS, ino volfs.Ino) (err error) {
		names, err = fs.Xattrs(ctx, ino)
		return err
	})
	return names, err
}

// withXattrs calls peeked with a folder if a peek has read it, and otherwise opened with the
// filesystem: a listing asks for the extended attributes of each folder, and must not open
// volumes. A node that is in no filesystem has no extended attributes.
func (t *Tree) withXattrs(ctx context.Context, id NodeID, peeked func(*volume.Folder) error, opened func(volfs.FS, volfs.Ino) error) error {
	none := volume.Folder{}
	if !id.IsFile() {
		return peeked(&none)
	}
	r, err := t.root(id)
	if err != nil {
		return err
	}
	ino := r.Ino(id)
	if ino > layout.MaxIno {
		return peeked(&none)
	}
	if p := r.LastPeek(); ino == 0 || p != nil {
		if p, err = t.peek(ctx, r); err != nil {
			return err
		}
		if f := p.Folder(ino); f != nil {
			return peeked(f)
		}
		if ino == 0 {
			return peeked(&none)
		}
	}
	return t.withFS(ctx, r, func(fs volfs.FS) error { return opened(fs, r.diskIno(id, fs)) })
}

func noXattr(name string) error { return fmt.Errorf("%s: %w", name, syscall.ENODATA) }
