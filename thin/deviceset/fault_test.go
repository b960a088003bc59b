package deviceset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/meta/record"
)

// steps are the calls that run while something fails. The store has the devices "idle" and
// "busy"; "busy" is mounted at the folder mounted.
var steps = map[string]func(ctx context.Context, s *DeviceSet, mounted, other string) error{
	"add": func(ctx context.Context, s *DeviceSet, _, _ string) error { return s.AddDevice(ctx, "new", "idle", 0) },
	"longer": func(ctx context.Context, s *DeviceSet, _, _ string) error {
		return s.AddDevice(ctx, "new", "idle", 128<<20)
	},
	"snapshot": func(ctx context.Context, s *DeviceSet, _, _ string) error {
		return s.AddDevice(ctx, "new", "busy", 0)
	},
	"mount": func(ctx context.Context, s *DeviceSet, _, other string) error {
		return s.MountDevice(ctx, "idle", other, "")
	},
	"mount again": func(ctx context.Context, s *DeviceSet, _, other string) error {
		return s.MountDevice(ctx, "busy", other, "")
	},
	"unmount": func(ctx context.Context, s *DeviceSet, mounted, _ string) error {
		return s.UnmountDevice(ctx, "busy", mounted)
	},
	"delete": func(ctx context.Context, s *DeviceSet, _, _ string) error { return s.DeleteDevice(ctx, "idle") },
	"trim": func(ctx context.Context, s *DeviceSet, _, _ string) error {
		return errors.Join(s.mounted(ctx, s.devices["idle"], func(_, _, _ string) error { return nil }))
	},
	"shut down": func(ctx context.Context, s *DeviceSet, _, _ string) error { return s.Shutdown(ctx) },
}

// faults are the ways to fail at or from the n-th ioctl. Each sets up the fault, and
// returns a count of ioctls and a function that ends the fault.
var faults = map[string]func(f *fake, n int64) (count *atomic.Int64, end func()){
	"one ioctl": func(f *fake, n int64) (*atomic.Int64, func()) {
		return failing(f.Fail, func(i int64) bool { return i == n }), func() { f.Fail(nil) }
	},
	"all ioctls from one on": func(f *fake, n int64) (*atomic.Int64, func()) {
		return failing(f.Fail, func(i int64) bool { return i >= n }), func() { f.Fail(nil) }
	},
	"one ioctl that had its effect": func(f *fake, n int64) (*atomic.Int64, func()) {
		return failing(f.FailAfter, func(i int64) bool { return i == n }), func() { f.FailAfter(nil) }
	},
	"all records from an ioctl on": func(f *fake, n int64) (*atomic.Int64, func()) {
		records, away := filepath.Join(f.root, record.RecordsDir), filepath.Join(f.root, "away")
		count := failing(f.Fail, func(i int64) bool {
			if i == n {
				os.Rename(records, away)
			}
			return false
		})
		return count, func() { f.Fail(nil); os.Rename(away, records) }
	},
}

func failing(set func(func(uint, string) error), fails func(i int64) bool) *atomic.Int64 {
	count := new(atomic.Int64)
	set(func(uint, string) error {
		if fails(count.Add(1)) {
			return unix.EIO
		}
		return nil
	})
	return count
}

// After a fault at any ioctl the store opens, the pool and the records agree, and no device
// stays suspended or active.
func TestFaultsLeaveNothingHalfDone(t *testing.T) {
	t.Parallel()
	for stepName, step := range steps {
		for faultName, fault := range faults {
			t.Run(stepName+", "+faultName, func(t *testing.T) {
				t.Parallel()
				for n := int64(1); ; n++ {
					f := newFake(t)
					s := f.mustOpen(t)
					mounted, other := t.TempDir(), t.TempDir()
					if err := errors.Join(
						s.AddDevice(t.Context(), "idle", "", 0), s.AddDevice(t.Context(), "busy", "", 0),
						s.MountDevice(t.Context(), "busy", mounted, ""),
					); err != nil {
						t.Fatal(err)
					}
					count, end := fault(f, n)
					err := step(t.Context(), s, mounted, other)
					done := count.Load() < n
					end()
					if stepName != "shut down" {
						s.Close(t.Context())
					} else if err != nil {
						s.folder.Close()
					}
					if done && err != nil {
						t.Fatalf("without a fault: %v", err)
					}
					if e := f.recovers(t.Context()); e != nil {
						t.Fatalf("after a fault at ioctl %d (%v): %v", n, err, e)
					}
					if done {
						return
					}
				}
			})
		}
	}
}

// recovers opens the store, and returns an error if the store is not whole or leaves
// something when it is shut down.
func (f *fake) recovers(ctx context.Context) error {
	s, err := f.open(ctx, true)
	if err != nil {
		return fmt.Errorf("the store does not open: %w", err)
	}
	if frozen := f.Frozen(); frozen != nil {
		return fmt.Errorf("suspended: %v", frozen)
	}
	if st, err := s.Status(ctx); err != nil || st.Problems != nil {
		return fmt.Errorf("%+v, %w", st, err)
	}
	if err := f.agrees(ctx); err != nil {
		return err
	}
	if err := s.Shutdown(ctx); err != nil {
		return fmt.Errorf("the store does not shut down: %w", err)
	}
	if left := f.Devices(); !slices.Equal(left, []string{fakePool}) {
		return fmt.Errorf("left: %v", left)
	}
	if wrong := f.Violations(); wrong != nil {
		return fmt.Errorf("violations: %v", wrong)
	}
	return nil
}

// If the creation of a store fails at any ioctl, either nothing of the store is left, or
// the next opening completes it.
func TestFaultsOfCreationLeaveNothing(t *testing.T) {
	t.Parallel()
	for faultName, fault := range faults {
		t.Run(faultName, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); ; n++ {
				f := newFake(t)
				count, end := fault(f, n)
				s, err := f.open(t.Context(), true)
				done := count.Load() < n
				end()
				if err == nil {
					s.Close(t.Context())
				} else if left := f.Devices(); faultName == "one ioctl" && !slices.Equal(left, []string{fakePool}) {
					t.Errorf("after a fault at ioctl %d: left: %v", n, left)
				}
				if _, e := os.Stat(f.root); err != nil && faultName == "one ioctl" && !errors.Is(e, os.ErrNotExist) {
					t.Errorf("after a fault at ioctl %d: the folder stays: %v", n, err)
				}
				if e := f.recovers(t.Context()); e != nil {
					t.Fatalf("after a fault at ioctl %d (%v): %v", n, err, e)
				}
				if done {
					return
				}
			}
		})
	}
}
