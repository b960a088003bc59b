package deviceset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
)

// openPool opens the store's pool. With the option dm.thinpooldev that is an active pool of
// another owner. Otherwise it is the store's own pool, on devices or in files; openPool
// activates it or, with doInit, creates it.
func (s *DeviceSet) openPool(ctx context.Context, doInit bool, undo *undoList) (err error) {
	if s.opts.Pool != "" {
		if s.pool, err = s.kernel.OpenPool(ctx, s.opts.Pool); err != nil {
			return err
		}
		return s.checkPoolOptions(ctx, false)
	}
	name := s.poolName()
	c := thin.PoolConfig{
		Name: name, UUID: uuid(name), Metadata: s.opts.Metadata, Data: s.opts.Data,
		Features: thin.Features{SkipBlockZeroing: true},
	}
	inFiles := c.Data == ""
	if inFiles {
		c.Metadata, c.Data = filepath.Join(s.root, record.PoolMetadata), filepath.Join(s.root, record.PoolData)
	}
	active, err := s.wakePool(ctx, name)
	if err != nil {
		return err
	}
	create := false
	if doInit && !active {
		create, err = s.lacksPool(ctx, c, inFiles, undo)
		if err != nil {
			return err
		}
	}
	if create {
		c.BlockSectors = s.opts.BlockSectors
		n := thin.NewPool{PoolConfig: c}
		if inFiles {
			n = s.opts.newFiles(c)
		}
		s.pool, err = s.kernel.CreatePool(ctx, n)
		c.BlockSectors = 0
	} else {
		s.pool, err = s.kernel.ActivatePool(ctx, c)
	}
	if err != nil {
		return err
	}
	s.own = &c
	if create && inFiles {
		undo.add(func(context.Context) error {
			s.unsettled, s.devices = nil, nil // they went with the pool
			return errors.Join(os.Remove(c.Metadata), os.Remove(c.Data))
		})
	}
	if !active {
		undo.add(func(ctx context.Context) error { return s.deactivate(ctx, c.Name) })
	}
	return s.checkPoolOptions(ctx, inFiles)
}

// wakePool reports whether the pool is active. If a killed process left an active pool
// suspended or with a deferred removal, wakePool undoes that.
func (s *DeviceSet) wakePool(ctx context.Context, name string) (active bool, err error) {
	info, err := s.kernel.DM().Info(ctx, name)
	switch {
	case errors.Is(err, dm.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !info.Active: // its creation was cut short
		return false, s.deactivate(ctx, name)
	}
	if info.DeferredRemoval {
		err = s.kernel.DM().CancelDeferred(ctx, name)
	}
	if err == nil && info.Suspended {
		err = s.kernel.ResumeDevice(ctx, name)
	}
	return true, err
}

// lacksPool reports whether the pool was never created, or its creation was cut short: then
// the metadata are missing or zero.
func (s *DeviceSet) lacksPool(ctx context.Context, c thin.PoolConfig, inFiles bool, undo *undoList) (bool, error) {
	complete := true
	for _, path := range []string{c.Metadata, c.Data} {
		st, err := os.Stat(path)
		if err == nil && inFiles && st.Size() == 0 {
			err = fs.ErrNotExist // its creation was cut short before it got its length
			if e := os.Remove(path); e != nil {
				return false, e
			}
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			complete = false
		case err != nil:
			return false, err
		}
	}
	if complete {
		if blank, err := thin.Blank(ctx, c.Metadata); err != nil || !blank {
			return false, err
		}
	}
	devices, damaged, err := record.ReadDir(ctx, s.records)
	if err != nil {
		return false, err
	}
	if n := len(devices) + len(damaged); n > 0 {
		return false, fmt.Errorf("there are records of %d devices, but no pool at %s: if it is elsewhere, give dm.thinpooldev, or dm.datadev and dm.metadatadev", n, c.Metadata)
	}
	if inFiles {
		err = undo.makeFolder(filepath.Dir(c.Data))
	}
	return true, err
}

// uuid is the device-mapper UUID of a device with a name. Its prefix marks the device as
// one of this package, even if it is renamed.
func uuid(name string) string { return "THINTREE-" + name }
