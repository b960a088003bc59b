package tree

import (
	"context"
	"fmt"

	"thintree/volfs"
)

// Statfs tells how full the filesystem that a node lies in is. It opens nothing
// and counts as no use of the volume. What is in no filesystem is empty and full.
func (t *Tree) Statfs(ctx context.Context, id NodeID) (volfs.Statfs, error) {
	none := volfs.Statfs{BlockSize: 4096, NameLen: 255}
	if !id.isFile() || id.ino() > maxIno {
		return none, nil
	}
	r, err := t.fsRoot(id)
	if err != nil {
		return none, err
	}
	p, err := t.peek(ctx, r)
	if err != nil || p.fs == nil {
		return none, err
	}
	return t.statfs(ctx, r, p.fs)
}

// statfs is how full the filesystem is that a peek has told of. Where this process reads
// it, that takes the group descriptors, which are many in a large one: so it is read
// when somebody asks.
func (t *Tree) statfs(ctx context.Context, r *fsRoot, f *fsPeek) (volfs.Statfs, error) {
	if s := f.statfs.Load(); s != nil {
		return *s, nil
	}
	var s volfs.Statfs
	var failed error
	err := r.vol.glimpse(ctx, func(open func(int64) (device, error)) error {
		s, failed = t.statfsAt(ctx, r, open)
		return nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", r, err)
	}
	f.statfs.Store(&s)
	return s, nil
}

func (t *Tree) statfsAt(ctx context.Context, r *fsRoot, open func(int64) (device, error)) (volfs.Statfs, error) {
	c, err := t.readContent(ctx, r.vol, open)
	if err != nil {
		return volfs.Statfs{}, err
	}
	defer c.Close()
	at, found, err := c.probe(ctx, r)
	if err != nil {
		return volfs.Statfs{}, err
	}
	fs, err := t.openDirect(ctx, found.Signatures[0].Type, at, found)
	if err != nil {
		return volfs.Statfs{}, err
	}
	defer fs.Close()
	return fs.Statfs(ctx)
}
