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
	patience := removalPatience
	if s.opts.DeferredDeletion {
		patience = 0
	}
	err = s.delete(ctx, d, patience)
	if errors.Is(err, dm.ErrInUse) && s.opts.DeferredDeletion {
		err = s.markDeleted(ctx, d)
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", record.File(hash), err)
	}
	return nil
}

// markDeleted has a device deleted once nobody uses it.
func (s *DeviceSet) markDeleted(ctx context.Context, d *device) error {
	rec := d.rec
	rec.Deleted = true
	if err := record.WriteDevice(s.records, d.hash, rec); err != nil {
		return err
	}
	s.setRecord(d, rec)
	select {
	case s.marked <- struct{}{}:
	default: // that is known
	}
	return s.letGo(ctx, s.name(d.hash))
}

// deleteNow deletes a device that is not in use.
func (s *DeviceSet) deleteNow(ctx context.Context, d *device) error {
	if err := d.lock.acquire(ctx); err != nil {
		return err
	}
	defer d.lock.release()
	return s.delete(ctx, d, removalPatience)
}

// delete deletes a device that nobody uses, or nobody any more before patience
// ends; otherwise it is dm.ErrInUse. The caller has its lock.
func (s *DeviceSet) delete(ctx context.Context, d *device, patience time.Duration) error {
	if err := errors.Join(s.writable(ctx), s.unmounted(ctx, d)); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := s.kernel.RemoveDevice(waiting, s.name(d.hash), false, dm.Hidden); err != nil {
		return err
	}
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer s.turn.release()
	gone := false
	err := s.transact(ctx, d.hash, d.rec.ID, func(ctx context.Context) (touched bool, err error) {
		if s.opts.Discard {
			s.discard(ctx, d)
		}
		err = s.pool.DeleteDevice(ctx, d.rec.ID)
		if errors.Is(err, thin.ErrActive) { // under a name that is not ours
			return false, fmt.Errorf("%w: %w", dm.ErrInUse, err)
		}
		if err != nil && !isMissing(err) {
			switch has, e := s.pool.HasDevice(ctx, d.rec.ID); {
			case e != nil: // nobody knows: it is ended later
				gone = true
				return true, err
			case has:
				return false, err
			}
		}
		gone = true
		return true, record.RemoveDevice(s.records, d.hash)
	})
	if !gone {
		return err
	}
	s.forget(d)
	if s.unsettled != nil {
		return err
	}
	delete(s.used, d.rec.ID)
	return nil
}

// unmounted is dm.ErrInUse where a device is mounted.
func (s *DeviceSet) unmounted(ctx context.Context, d *device) error {
	info, err := s.kernel.DM().Info(ctx, s.name(d.hash))
	if errors.Is(err, dm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	mounts, err := s.fs.mounts(info.Number)
	if err == nil && len(mounts) > 0 {
		err = fmt.Errorf("%w: it is mounted at %s", dm.ErrInUse, mounts[0])
	}
	return err
}

// discard gives the device's blocks back to what the data lie on. Where that
// fails they are free in the pool all the same.
func (s *DeviceSet) discard(ctx context.Context, d *device) {
	active, err := s.activate(ctx, d, false)
	if err == nil {
		err = errors.Join(active.Discard(), s.deactivate(ctx, active.Name))
	}
	if err != nil {
		s.log.Warn("the blocks of a device that is deleted were not given back", "name", d.hash, "err", err)
	}
}

// What was to be deleted and is in use is looked at again after firstPause, then
// less and less often.
const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// deleteLater deletes what is to be deleted and was in use.
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
		for pause := firstPause; ctx.Err() == nil; {
			s.deleteMarked(ctx)
			select {
			case <-ctx.Done():
			case <-s.marked:
				pause = firstPause
			case <-time.After(pause):
				pause = min(2*pause, longestPause)
			}
		}
	}()
}

func (s *DeviceSet) deleteMarked(ctx context.Context) {
	for _, hash := range s.List() {
		if rec, ok := s.recordOf(hash); !ok || !rec.Deleted {
			continue
		}
		d, err := s.find(ctx, hash)
		if err != nil {
			continue
		}
		if err := s.delete(ctx, d, 0); err != nil && !errors.Is(err, dm.ErrInUse) {
			s.log.Warn("a device cannot be deleted", "name", hash, "err", err)
		}
		d.lock.release()
	}
}
