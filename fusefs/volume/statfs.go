package volume

import (
	"context"
	"fmt"

	"thintree/volfs"
)

// Statfs is how full the filesystem of a peek is. The direct engine has to read all group
// descriptors for that, which takes long in a large filesystem. So it does so only on demand,
// and keeps the answer in the peek.
func (o *Opener) Statfs(ctx context.Context, r *Root, p *Peek) (volfs.Statfs, error) {
	if s := p.fs.statfs.Load(); s != nil {
		return *s, nil
	}
	var s volfs.Statfs
	var failed error
	err := r.Volume.peek(ctx, func(open func(int64) (device, error)) error {
		s, failed = o.statfsAt(ctx, r, open)
		return nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", r, err)
	}
	p.fs.statfs.Store(&s)
	return s, nil
}

func (o *Opener) statfsAt(ctx context.Context, r *Root, open func(int64) (device, error)) (volfs.Statfs, error) {
	c, err := o.readContents(ctx, r.Volume, open)
	if err != nil {
		return volfs.Statfs{}, err
	}
	defer c.Close()
	at, found, err := c.probe(ctx, r)
	if err != nil {
		return volfs.Statfs{}, err
	}
	fs, err := o.openDirect(ctx, found.Signatures[0].Type, at, found)
	if err != nil {
		return volfs.Statfs{}, err
	}
	defer fs.Close()
	return fs.Statfs(ctx)
}
