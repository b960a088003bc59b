package deviceset

import (
	"context"
	"errors"
	"fmt"

	"thintree/meta/record"
	"thintree/thin/dm"
)

// AddDevice creates a device that holds what another one, base, holds now; ""
// is the base device. sizeBytes is its length, 0 for that of base; longer, its
// filesystem is grown. Errors are an *[ExistsError], a *[NoDeviceError], a
// *[SpaceError], and a record.NameError or dm.NameError where hash is no name.
func (s *DeviceSet) AddDevice(ctx context.Context, hash, base string, sizeBytes int64) error {
	if err := s.addDevice(ctx, hash, base, sizeBytes); err != nil {
		return fmt.Errorf("add %q: %w", hash, err)
	}
	return nil
}

func (s *DeviceSet) addDevice(ctx context.Context, hash, base string, sizeBytes int64) error {
	if err := errors.Join(record.CheckHash(hash), dm.CheckName(s.name(hash))); err != nil {
		return err
	}
	if hash == "" {
		return &ExistsError{hash}
	}
	origin, err := s.find(ctx, base)
	if err != nil {
		return err
	}
	rec := record.Device{SizeBytes: origin.rec.SizeBytes}
	defer origin.lock.release()
	switch {
	case origin.rec.Deleted:
		return fmt.Errorf("%q: %w", base, ErrDeleted)
	case sizeBytes%sectorBytes != 0:
		return fmt.Errorf("a length of %d bytes: it must be a multiple of %d", sizeBytes, sectorBytes)
	case sizeBytes != 0 && sizeBytes < rec.SizeBytes:
		return fmt.Errorf("a length of %d bytes: %q has %d, and its snapshot cannot be shorter", sizeBytes, base, rec.SizeBytes)
	case sizeBytes != 0:
		rec.SizeBytes = sizeBytes
	}
	if err := s.enough(ctx); err != nil {
		return err
	}
	id := origin.rec.ID
	err = s.create(ctx, hash, rec, func(ctx context.Context, new uint32) error {
		return s.pool.CreateSnapDevice(ctx, new, id)
	})
	if err != nil || rec.SizeBytes == origin.rec.SizeBytes {
		return err
	}
	if err := s.grow(ctx, hash); err != nil {
		return errors.Join(err, s.DeleteDevice(context.WithoutCancel(ctx), hash))
	}
	return nil
}

// create makes a device in the pool by make, and its record.
func (s *DeviceSet) create(ctx context.Context, hash string, rec record.Device, make func(context.Context, uint32) error) (err error) {
	d := &device{hash: hash, lock: newLock()}
	d.lock.acquire(ctx) // nobody else knows it
	defer d.lock.release()
	s.mu.Lock()
	_, exists := s.devices[hash]
	if !exists {
		s.devices[hash] = d
	}
	s.mu.Unlock()
	if exists {
		return &ExistsError{hash}
	}
	defer func() {
		if err != nil {
			s.forget(d)
		}
	}()
	if err := s.turn.acquire(ctx); err != nil {
		return err
	}
	defer s.turn.release()
	if rec.ID, err = s.freeID(ctx); err != nil {
		return err
	}
	rec.TransactionID = s.transactionID + 1
	err = s.transact(ctx, hash, rec.ID, func(ctx context.Context) error {
		if err := make(ctx, rec.ID); err != nil {
			return err
		}
		if err := record.WriteDevice(s.records, hash, rec); err != nil {
			return errors.Join(err, record.RemoveDevice(s.records, hash), s.pool.DeleteDevice(ctx, rec.ID))
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.used[rec.ID] = struct{}{}
	d.rec = rec
	return nil
}

// forget takes a device off the list. The caller has its lock.
func (s *DeviceSet) forget(d *device) {
	d.gone = true
	s.mu.Lock()
	delete(s.devices, d.hash)
	s.mu.Unlock()
}

// enough tells whether the pool has room for a new device.
func (s *DeviceSet) enough(ctx context.Context) error {
	st, err := s.pool.Status(ctx)
	if err != nil {
		return err
	}
	for _, half := range []struct {
		what        string
		used, total uint64
	}{
		{"data", st.DataUsedBlocks, st.DataTotalBlocks},
		{"metadata", st.MetadataUsedBlocks, st.MetadataTotalBlocks},
	} {
		free := half.total - min(half.used, half.total)
		if free < half.total*s.opts.MinFreePercent/100 {
			return &SpaceError{What: half.what, Free: free, Blocks: half.total, MinPercent: s.opts.MinFreePercent}
		}
	}
	return nil
}
