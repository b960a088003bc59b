package deviceset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
)

// recover reads the records, and puts right what a process that was killed has
// left half done.
func (s *DeviceSet) recover(ctx context.Context) error {
	if err := s.resumeAll(ctx); err != nil {
		return err
	}
	status, err := s.pool.Status(ctx)
	if err != nil {
		return err
	}
	s.transactionID = status.TransactionID
	if err := record.Sweep(s.records); err != nil {
		return err
	}
	if err := s.rollBack(ctx); err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	return s.sweep(ctx)
}

// resumeAll resumes what was left suspended. A guard does that, unless it was
// killed too.
func (s *DeviceSet) resumeAll(ctx context.Context) error {
	active, err := s.active(ctx)
	if err != nil {
		return err
	}
	for name, info := range active {
		if info.Suspended {
			if err := s.kernel.ResumeDevice(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// rollBack ends the deletion or undoes the creation that was under way: either
// way the device is not there afterwards.
func (s *DeviceSet) rollBack(ctx context.Context) error {
	t, err := record.ReadTransaction(s.records)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: what was under way when the store was used last cannot be told; "+
			"with that file gone, a device of the pool may stay that no record names", err)
	}
	if t.OpenID <= s.transactionID {
		return nil
	}
	s.log.Info("a transaction was under way: the device is deleted", "hash", t.Hash, "device_id", t.DeviceID)
	if err := s.deactivate(ctx, s.name(t.Hash)); err != nil {
		return err
	}
	var missing *thin.NoDeviceError
	if err := s.pool.DeleteDevice(ctx, t.DeviceID); err != nil && !errors.As(err, &missing) {
		return err
	}
	devices, _, err := record.ReadDir(ctx, s.records)
	if err != nil {
		return err
	}
	if d, ok := devices[t.Hash]; ok && d.ID == t.DeviceID {
		if err := record.RemoveDevice(s.records, t.Hash); err != nil {
			return err
		}
	}
	return s.abort(t)
}

// load reads the records. One that is damaged loses its device only; the id that
// it named is not given to another, as the pool has it.
func (s *DeviceSet) load(ctx context.Context) error {
	devices, damaged, err := record.ReadDir(ctx, s.records)
	if err != nil {
		return err
	}
	s.damaged = damaged
	for _, err := range damaged {
		s.log.Warn("a record is damaged: its device is left alone", "err", err)
	}
	for hash, rec := range devices {
		s.devices[hash] = &device{hash: hash, lock: newLock(), rec: rec}
		s.used[rec.ID] = struct{}{}
	}
	s.set, err = record.ReadDeviceSet(s.records)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// sweep deactivates what was activated for a mount that is not there.
func (s *DeviceSet) sweep(ctx context.Context) error {
	active, err := s.active(ctx)
	if err != nil {
		return err
	}
	for name, info := range active {
		if info.OpenCount == 0 && !isKept(info) {
			if err := s.deactivate(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// active gives the store's devices that are active, by device-mapper name.
func (s *DeviceSet) active(ctx context.Context) (map[string]dm.Info, error) {
	list, err := s.kernel.DM().List(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]dm.Info{}
	for _, d := range list {
		if !strings.HasPrefix(d.Name, s.prefix+"-") || s.pool != nil && d.Name == s.pool.Name() {
			continue
		}
		info, err := s.kernel.DM().Info(ctx, d.Name)
		if errors.Is(err, dm.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[d.Name] = info
	}
	return found, nil
}
