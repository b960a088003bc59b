package deviceset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/meta/record"
	"thintree/thin/dm"
)

// recover reads the records, and cleans up after a process that was killed.
func (s *DeviceSet) recover(ctx context.Context) error {
	if err := record.Sweep(s.records); err != nil {
		s.problem(err)
	}
	s.sweepMounts()
	if err := s.settle(ctx); err != nil {
		s.log.Warn("the store cannot be changed", "error", err)
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	s.sweep(ctx)
	return nil
}

// problem logs and keeps an error that does not prevent the use of the store.
func (s *DeviceSet) problem(err error) {
	s.log.Warn("the store has a problem", "error", err)
	s.problems = append(s.problems, err)
}

// load reads the records. A damaged record loses only its own device. Its device id is not
// used again, because the pool still has the device.
func (s *DeviceSet) load(ctx context.Context) error {
	devices, damaged, err := record.ReadDir(ctx, s.records)
	if err != nil {
		return err
	}
	for _, err := range damaged {
		s.problem(err)
	}
	named := map[uint32][]string{}
	for hash, rec := range devices {
		s.used[rec.ID] = struct{}{}
		named[rec.ID] = append(named[rec.ID], hash)
	}
	var half *halfError
	errors.As(s.unsettled, &half)
	for hash, rec := range devices {
		switch {
		case len(named[rec.ID]) > 1:
			s.problem(fmt.Errorf("%s: other records name device id %d too: %q", filepath.Join(s.records, record.File(hash)), rec.ID, named[rec.ID]))
		case half != nil && half.open.Hash == hash && half.open.DeviceID == rec.ID: // half created or deleted: not a device
		default:
			s.devices[hash] = &device{hash: hash, lock: newLock(), rec: rec}
		}
	}
	s.set, err = record.ReadDeviceSet(s.records)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.problem(err)
	}
	return nil
}

// resumeAll resumes devices that a killed process left suspended. Its guard does that,
// unless the guard was killed too.
func (s *DeviceSet) resumeAll(ctx context.Context) error {
	active, err := s.active(ctx)
	if err != nil {
		return err
	}
	for name, info := range active {
		if !info.Suspended {
			continue
		}
		if err := s.kernel.ResumeDevice(ctx, name); err != nil && !errors.Is(err, dm.ErrNotFound) {
			return err
		}
	}
	return nil
}

// sweep deactivates devices that were activated for a mount that does not exist any more.
func (s *DeviceSet) sweep(ctx context.Context) {
	active, err := s.active(ctx)
	if err != nil {
		s.problem(err)
	}
	for name, info := range active {
		if info.OpenCount > 0 || info.Active && isKept(info) {
			continue
		}
		if err := s.deactivate(ctx, name); err != nil {
			s.problem(err)
		}
	}
}

// mountPrefix is the prefix of the names of temporary mount points in the store.
const mountPrefix = ".mounted-"

// sweepMounts unmounts and removes temporary mount points that a killed process left.
func (s *DeviceSet) sweepMounts() {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		s.problem(err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), mountPrefix) {
			continue
		}
		dir := filepath.Join(s.root, e.Name())
		if err := s.fs.unmount(dir, true); err != nil && !errors.Is(err, unix.EINVAL) {
			s.problem(err)
			continue
		}
		if err := os.Remove(dir); err != nil {
			s.problem(err)
		}
	}
}

// active returns the store's active devices, by device-mapper name.
func (s *DeviceSet) active(ctx context.Context) (map[string]dm.Info, error) {
	list, err := s.kernel.DM().List(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]dm.Info{}
	for _, d := range list {
		if !strings.HasPrefix(d.Name, s.prefix+"-") || d.Name == s.poolName() {
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
