package tree

import (
	"context"

	"thintree/fusefs/layout"
	"thintree/volfs"
)

// Statfs is how full the filesystem of a node is. It leaves nothing open, and does not count as
// a use of the volume. A node that is in no filesystem gets a size of 0 with nothing free.
func (t *Tree) Statfs(ctx context.Context, id NodeID) (volfs.Statfs, error) {
	none := volfs.Statfs{BlockSize: 4096, NameLen: 255}
	if !id.IsFile() {
		return none, nil
	}
	r, err := t.root(id)
	if err != nil || r.Ino(id) > layout.MaxIno {
		return none, err
	}
	p, err := t.peek(ctx, r)
	if err != nil || !p.HasFS() {
		return none, err
	}
	return t.opener.Statfs(ctx, r.Root, p)
}
