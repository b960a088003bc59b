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

// DeleteDevice deletes a device and its record. If the device is in use the error is
// dm.ErrInUse. With deferred deletion it is instead deleted once it is not in use; until
// then calls for it return [ErrDeleted]. The base device cannot be deleted.
func (s *DeviceSet) DeleteDevice(ctx context.Context, hash string) error {
	if hash == "" {
		return errors.New("the base device cannot be deleted: all others start as its snapshots")
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

// markDeleted marks a device for deferred deletion.
func (s *DeviceSet) markDeleted(ctx context.Context, d *device) error {
	rec := d.rec
	rec.Deleted = true
	if err := record.WriteDevice(s.records, d.hash, rec); err != nil {
		return err
	}
	s.setRecord(d, rec)
	select {
	case s.marked <- struct{}{}:
	default: // a signal is pending
	}
	return s.letGo(ctx, s.name(d.hash))
}

// deleteNow acquires a device's lock and deletes the device.
func (s *DeviceSet) deleteNow(ctx context.Context, d *device) error {
	if err := d.lock.acquire(ctx); err != nil {
		return err
	}
	defer d.lock.release()
	return s.delete(ctx, d, removalPatience)
}

// delete deletes a device. The error is dm.ErrInUse if the device is mounted, or still open
// when patience ends. The caller has its lock.
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
		if errors.Is(err, thin.ErrActive) { // by another program, under another name
			return false, fmt.Errorf("%w: %w", dm.ErrInUse, err)
		}
		if err != nil && !isMissing(err) {
			switch has, e := s.pool.HasDevice(ctx, d.rec.ID); {
			case e != nil: // unknown: a later call completes the deletion
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

// unmounted returns dm.ErrInUse if a device is mounted.
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

// discard discards a device's blocks on the device or file that holds the data. A failure
// is only logged: the blocks become free in the pool anyway.
func (s *DeviceSet) discard(ctx context.Context, d *device) {
	active, err := s.activate(ctx, d, false)
	if err == nil {
		err = errors.Join(active.Discard(), s.deactivate(ctx, active.Name))
	}
	if err != nil {
		s.log.Warn("could not discard the blocks of a deleted device", "name", d.hash, "error", err)
	}
}

// Deferred deletion tries again after firstPause; the pauses grow up to longestPause.
const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// deleteLater starts the deferred deletion.
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
			s.log.Warn("could not delete a device marked for deletion", "name", hash, "error", err)
		}
		d.lock.release()
	}
}
