package tree

import (
	"context"

	"thintree/fusefs/layout"
	"thintree/volfs"
)

// Statfs is how full the filesystem that a node lies in is. It opens nothing
// and counts as no use of the volume. What is in no filesystem is empty and full.
func (t *Tree) Statfs(ctx context.Context, id NodeID) (volfs.Statfs, error) {
	none := volfs.Statfs{BlockSize: 4096, NameLen: 255}
	if !id.IsFile() || id.Ino() > layout.MaxIno {
		return none, nil
	}
	r, err := t.root(id)
	if err != nil {
		return none, err
	}
	p, err := t.peek(ctx, r)
	if err != nil || !p.HasFS() {
		return none, err
	}
	return t.opener.Statfs(ctx, r.Root, p)
}
