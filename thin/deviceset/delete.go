package deviceset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
)

// DeleteDevice deletes a device and its record. One that is in use is
// dm.ErrInUse, or with deferred deletion is deleted once nobody uses it: it is
// [ErrDeleted] for others until then. The base device cannot be deleted.
func (s *DeviceSet) DeleteDevice(ctx context.Context, hash string) error {
	if hash == "" {
		return errors.New("the base device cannot be deleted: all others begin as it")
	}
	d, err := s.find(ctx, hash)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	defer d.lock.release()
	err = s.delete(ctx, d)
	if errors.Is(err, dm.ErrInUse) && s.opts.DeferredDeletion {
		rec := d.rec
		rec.Deleted = true
		if err = record.WriteDevice(s.records, hash, rec); err == nil {
			d.rec = rec
		}
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", hash, err)
	}
	return nil
}

// deleteNow deletes a device that is not in use.
func (s *DeviceSet) deleteNow(ctx context.Context, d *device) error {
	if err := d.lock.acquire(ctx); err != nil {
		return err
	}
	defer d.lock.release()
	return s.delete(ctx, d)
}

// delete deletes a device whose lock the caller has.
func (s *DeviceSet) delete(ctx context.Context, d *device) error {
	if err := s.idle(ctx, d); err != nil {
		return err
	}
	if err := s.turn.acquire(ctx); err != nil {
		return err
	}
	defer s.turn.release()
	err := s.transact(ctx, d.hash, d.rec.ID, func(ctx context.Context) error {
		if s.opts.Discard {
			s.discard(ctx, d)
		}
		var missing *thin.NoDeviceError
		if err := s.pool.DeleteDevice(ctx, d.rec.ID); err != nil && !errors.As(err, &missing) {
			return err
		}
		return record.RemoveDevice(s.records, d.hash)
	})
	if err != nil {
		return err
	}
	delete(s.used, d.rec.ID)
	s.forget(d)
	return nil
}

// idle deactivates a device that nobody uses, so that it can be deleted.
func (s *DeviceSet) idle(ctx context.Context, d *device) error {
	info, err := s.kernel.DM().Info(ctx, s.name(d.hash))
	if errors.Is(err, dm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	mounts, err := s.fs.mounts(info.Number)
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%w: it is mounted at %s", dm.ErrInUse, mounts[0])
	}
	return s.deactivate(ctx, s.name(d.hash))
}

// discard gives the device's blocks back to what the data lie on. Where that
// fails they are free in the pool all the same.
func (s *DeviceSet) discard(ctx context.Context, d *device) {
	active, err := s.activate(ctx, d, false)
	if err == nil {
		err = errors.Join(active.Discard(), s.deactivate(ctx, active.Name))
	}
	if err != nil {
		s.log.Warn("the blocks of a device that is deleted were not given back", "hash", d.hash, "err", err)
	}
}

// deletionPause is how often it is tried to delete what was busy.
const deletionPause = 30 * time.Second

// deleteLater deletes what was to be deleted and was in use then, now and again.
func (s *DeviceSet) deleteLater() {
	if !s.opts.DeferredDeletion {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.stop = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.deleteMarked(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(deletionPause):
			}
		}
	}()
}

func (s *DeviceSet) deleteMarked(ctx context.Context) {
	for _, hash := range s.List() {
		d, err := s.find(ctx, hash)
		if err != nil {
			continue
		}
		if d.rec.Deleted {
			if err := s.delete(ctx, d); err != nil && !errors.Is(err, dm.ErrInUse) {
				s.log.Warn("a device cannot be deleted", "hash", hash, "err", err)
			}
		}
		d.lock.release()
	}
}
