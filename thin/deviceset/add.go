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
	"thintree/thin/blockdev"
	"thintree/thin/dm"
)

// AddDevice creates a device with the current contents of the device base; base "" is the
// base device. sizeBytes is its length in bytes, 0 for that of base. If it is longer than
// base, AddDevice grows its filesystem. Errors are an *[ExistsError], a *[NoDeviceError], a
// *[SpaceError], [ErrDeleted], and a *record.NameError or *dm.NameError if hash is not
// allowed.
func (s *DeviceSet) AddDevice(ctx context.Context, hash, base string, sizeBytes int64) error {
	if err := s.addDevice(ctx, hash, base, sizeBytes); err != nil {
		return fmt.Errorf("add %q: %w", record.File(hash), err)
	}
	return nil
}

func (s *DeviceSet) addDevice(ctx context.Context, hash, base string, sizeBytes int64) error {
	if err := s.checkHash(hash); err != nil {
		return err
	}
	if hash == "" || s.HasDevice(hash) {
		return &ExistsError{hash}
	}
	origin, err := s.find(ctx, base)
	if err != nil {
		return err
	}
	defer origin.lock.release()
	rec := record.Device{SizeBytes: origin.rec.SizeBytes}
	switch {
	case base == "" && !origin.rec.Initialized:
		return fmt.Errorf("the base device was not completed: create the store again")
	case origin.rec.Deleted:
		return fmt.Errorf("%q: %w", record.File(base), ErrDeleted)
	case sizeBytes%blockdev.SectorBytes != 0:
		return fmt.Errorf("a length of %d bytes: it must be a multiple of %d", sizeBytes, blockdev.SectorBytes)
	case sizeBytes != 0 && sizeBytes < rec.SizeBytes:
		return fmt.Errorf("a length of %d bytes: %q has %d, and a snapshot cannot be shorter than its origin", sizeBytes, record.File(base), rec.SizeBytes)
	case sizeBytes != 0:
		rec.SizeBytes = sizeBytes
	}
	if err := s.enough(ctx); err != nil {
		return err
	}
	finish := asItIs
	if rec.SizeBytes != origin.rec.SizeBytes {
		finish = s.grow
	}
	return s.create(ctx, hash, rec, func(ctx context.Context, id uint32) error {
		return s.snapshot(ctx, id, origin)
	}, finish)
}

// snapshot creates a snapshot in the pool. A frozenError says that its origin may have
// stayed suspended.
func (s *DeviceSet) snapshot(ctx context.Context, id uint32, origin *device) error {
	name := s.name(origin.hash)
	before, _ := s.kernel.DM().Info(ctx, name)
	err := s.pool.CreateSnapDevice(ctx, id, origin.rec.ID)
	if err == nil || before.Suspended {
		return err
	}
	after, e := s.kernel.DM().Info(ctx, name)
	if e != nil && !errors.Is(e, dm.ErrNotFound) || after.Suspended {
		return frozenError{err}
	}
	return err
}

type frozenError struct{ error }

func (e frozenError) Unwrap() error { return e.error }

// asItIs is the finish of a device that needs no further step.
func asItIs(context.Context, *device) error { return nil }

// create creates a device: make creates it in the pool, then finish runs, then the record
// is written.
func (s *DeviceSet) create(ctx context.Context, hash string, rec record.Device,
	make func(ctx context.Context, id uint32) error, finish func(context.Context, *device) error,
) (err error) {
	d := &device{hash: hash, lock: newLock()}
	d.lock.acquire(ctx) // free: no other goroutine has the device yet
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
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer s.turn.release()
	path := filepath.Join(s.records, record.File(hash))
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%w, whose record is damaged: %s", &ExistsError{hash}, path))
	}
	if rec.ID, err = s.freeID(ctx); err != nil {
		return err
	}
	rec.TransactionID = s.transactionID + 1
	s.setRecord(d, rec)
	err = s.transact(ctx, hash, rec.ID, func(ctx context.Context) (touched bool, err error) {
		if err := make(ctx, rec.ID); err != nil {
			return s.mayBeThere(ctx, rec.ID, err), err
		}
		if err := finish(ctx, d); err != nil {
			return true, err
		}
		return true, record.WriteDevice(s.records, hash, rec)
	})
	if err == nil {
		s.used[rec.ID] = struct{}{}
	}
	return err
}

// mayBeThere reports whether a failed creation may have left the device in the pool, or its
// origin suspended.
func (s *DeviceSet) mayBeThere(ctx context.Context, id uint32, failure error) bool {
	if errors.Is(failure, thin.ErrIDInUse) {
		return false // the existing device is not this one
	}
	if _, frozen := errors.AsType[frozenError](failure); frozen {
		return true
	}
	has, err := s.pool.HasDevice(ctx, id)
	return has || err != nil
}

// forget removes a device from the list. The caller has its lock.
func (s *DeviceSet) forget(d *device) {
	d.gone = true
	s.mu.Lock()
	delete(s.devices, d.hash)
	s.mu.Unlock()
}

// enough returns a *[SpaceError] if the pool has no room for a new device.
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
