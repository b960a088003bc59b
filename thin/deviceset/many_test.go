package deviceset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// churn creates, snapshots, activates, mounts, unmounts and deletes devices in several
// goroutines.
func churn(ctx context.Context, s *DeviceSet, dir string, devices, goroutines int) error {
	errs := make([]error, goroutines)
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := g; i < devices/2 && errs[g] == nil; i += goroutines {
				errs[g] = churnOne(ctx, s, dir, fmt.Sprint("device-", i))
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// churnOne does that with a device and a snapshot of it.
func churnOne(ctx context.Context, s *DeviceSet, dir, name string) error {
	mnt, snapshot := filepath.Join(dir, name), name+"-snapshot"
	if err := os.Mkdir(mnt, 0o700); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return s.AddDevice(ctx, name, "", 0) },
		func() error { return s.MountDevice(ctx, name, mnt, "") },
		func() error { return s.AddDevice(ctx, snapshot, name, 0) },
		func() error { _, err := s.ActivateDevice(ctx, snapshot); return err },
		func() error {
			if st, err := s.DeviceStatus(ctx, name); err != nil || !slices.Equal(st.Mounts, []string{mnt}) {
				return fmt.Errorf("%+v, %w", st, err)
			}
			return nil
		},
		func() error { return os.WriteFile(filepath.Join(mnt, "file"), []byte(name), 0o600) },
		func() error { return s.UnmountDevice(ctx, name, mnt) },
		func() error { return s.DeactivateDevice(ctx, snapshot) },
		func() error { return s.DeleteDevice(ctx, name) },
		func() error { return s.DeleteDevice(ctx, snapshot) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return os.RemoveAll(mnt)
}

func TestManyDevicesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.mustOpen(t)
	if err := churn(t.Context(), s, t.TempDir(), 500, 16); err != nil {
		t.Fatal(err)
	}
	if left := s.List(); !slices.Equal(left, []string{""}) {
		t.Errorf("left: %q", left)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := f.recovers(t.Context()); err != nil {
		t.Error(err)
	}
}
