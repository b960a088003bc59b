package deviceset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"thintree/thin"
)

// openPool opens the store's pool: somebody else's that is active, or one on
// devices or files of its own, which is activated or, with doInit, created.
func (s *DeviceSet) openPool(ctx context.Context, doInit bool) (err error) {
	if s.opts.Pool != "" {
		s.pool, err = s.kernel.OpenPool(ctx, s.opts.Pool)
		return err
	}
	s.ownPool = true
	c := thin.PoolConfig{
		Name: s.prefix + "-pool", UUID: uuid(s.prefix + "-pool"),
		Metadata: s.opts.Metadata, Data: s.opts.Data,
		Features: thin.Features{SkipBlockZeroing: true},
	}
	if c.Data == "" {
		dir := filepath.Join(s.root, poolDir)
		c.Metadata, c.Data = filepath.Join(dir, "metadata"), filepath.Join(dir, "data")
		if doInit {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
		}
	}
	made, err := hasPool(ctx, c)
	if err != nil {
		return err
	}
	if doInit && !made {
		c.BlockSectors = s.opts.BlockSectors
		s.pool, err = s.kernel.CreatePool(ctx, thin.NewPool{
			PoolConfig: c, MetadataBytes: s.opts.MetadataBytes, DataBytes: s.opts.DataBytes,
		})
		return err
	}
	s.pool, err = s.kernel.ActivatePool(ctx, c)
	return err
}

// hasPool tells whether the pool was created: where its creation was cut short
// the metadata are zero, or not there.
func hasPool(ctx context.Context, c thin.PoolConfig) (bool, error) {
	for _, path := range []string{c.Metadata, c.Data} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
	}
	empty, err := thin.Blank(ctx, c.Metadata)
	return !empty, err
}

// uuid is the device-mapper UUID of a device of ours: its prefix tells whose it
// is, whatever its name.
func uuid(name string) string { return "THINTREE-" + name }
