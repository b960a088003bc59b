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

// recover reads the records, and puts right what a process that was killed has
// left half done.
func (s *DeviceSet) recover(ctx context.Context) error {
	if err := record.Sweep(s.records); err != nil {
		s.problem(err)
	}
	s.sweepMounts()
	if err := s.settle(ctx); err != nil {
		s.log.Warn("nothing can be changed in the store", "err", err)
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	s.sweep(ctx)
	return nil
}

// problem is something that is wrong, and does not keep the rest from working.
func (s *DeviceSet) problem(err error) {
	s.log.Warn("something is wrong in the store", "err", err)
	s.problems = append(s.problems, err)
}

// load reads the records. One that is damaged loses its device only; the id that
// it named is not given to another, as the pool has it.
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
		case half != nil && half.open.Hash == hash && half.open.DeviceID == rec.ID: // it is no more
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

// resumeAll resumes what was left suspended. A guard does that, unless it was
// killed too.
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

// sweep deactivates what was activated for a mount that is not there.
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

// mountPrefix begins the names of folders in the store where a device is mounted
// for a moment.
const mountPrefix = ".mounted-"

// sweepMounts unmounts what was mounted for a moment.
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

// active gives the store's devices that are active, by device-mapper name.
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
