package deviceset

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/guest"
	"thintree/thin/dm"
)

// TestStoreInTheKernel runs the tests that need a real device-mapper.
func TestStoreInTheKernel(t *testing.T) {
	t.Parallel()
	guest.Run(t, func(t *testing.T) {
		t.Run("many devices at once", manyInKernel)
		t.Run("a busy device", busyInKernel)
		t.Run("deferred", deferredInKernel)
		t.Run("the pool is kept", keptInKernel)
		t.Run("xfs", xfsInKernel)
		t.Run("driver", driverInKernel)
		t.Run("Docker's root", dockerInKernel)
	})
}

// made makes a store.
func made(t *testing.T, options ...string) (s *DeviceSet, root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "store")
	s, err := NewDeviceSet(t.Context(), root, true, append(slices.Clone(smallStore), options...))
	if err != nil {
		t.Fatal(err)
	}
	return s, root
}

// gone shuts a store down, and checks that nothing of it stays active.
func gone(t *testing.T, s *DeviceSet) {
	t.Helper()
	root := s.root
	if err := errors.Join(s.Shutdown(t.Context()), nothingLeft(t, root), agrees(t, root)); err != nil {
		t.Error(err)
	}
}

func manyInKernel(t *testing.T) {
	begin := time.Now()
	s, root := made(t)
	if err := churn(t.Context(), s, t.TempDir(), 500, 16); err != nil {
		t.Fatal(err)
	}
	gone(t, s)
	metadata, _ := storeFiles(root)
	checked(t, metadata)
	t.Logf("%v", time.Since(begin).Round(time.Millisecond))
}

func busyInKernel(t *testing.T) {
	ctx := t.Context()
	s, _ := made(t)
	dir, second := t.TempDir(), t.TempDir()
	if err := errors.Join(
		s.AddDevice(ctx, "a", "", 0), s.MountDevice(ctx, "a", dir, ""),
		s.MountDevice(ctx, "a", dir, ""), s.MountDevice(ctx, "a", second, ""),
	); err != nil {
		t.Fatal(err)
	}
	mounts := func(want ...string) {
		t.Helper()
		st, err := s.DeviceStatus(ctx, "a")
		slices.Sort(want)
		slices.Sort(st.Mounts)
		if err != nil || !slices.Equal(st.Mounts, want) || st.Active != (len(want) > 0) {
			t.Errorf("%+v, %v; mounts should be %q", st, err, want)
		}
	}
	mounts(dir, second)
	f, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UnmountDevice(ctx, "a", dir); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("unmount: %v", err)
	}
	if err := s.DeleteDevice(ctx, "a"); !errors.Is(err, dm.ErrInUse) {
		t.Errorf("delete: %v", err)
	}
	mounts(dir, second)
	f.Close()
	if err := s.UnmountDevice(ctx, "a", dir); err != nil {
		t.Error(err)
	}
	mounts(second)
	if err := s.UnmountDevice(ctx, "a", second); err != nil {
		t.Error(err)
	}
	mounts()
	gone(t, s)
}

func deferredInKernel(t *testing.T) {
	ctx := t.Context()
	s, root := made(t, "dm.use_deferred_removal=true", "dm.use_deferred_deletion=true")
	dir := t.TempDir()
	if err := errors.Join(s.AddDevice(ctx, "a", "", 0), s.MountDevice(ctx, "a", dir, "")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UnmountDevice(ctx, "a", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("still there"); err != nil {
		t.Error(err)
	}
	if err := s.DeleteDevice(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.MountDevice(ctx, "a", dir, ""); !errors.Is(err, ErrDeleted) {
		t.Errorf("mount of a device marked for deletion: %v", err)
	}
	if st, err := s.Status(ctx); err != nil || st.DeletedDevices != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	// The mark also holds after the store was closed and opened again.
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if s, err = NewDeviceSet(ctx, root, false, []string{"dm.use_deferred_removal=true", "dm.use_deferred_deletion=true"}); err != nil {
		t.Fatal(err)
	}
	if !s.HasDevice("a") {
		t.Error("the device was deleted while it was open")
	}
	f.Close()
	for begin := time.Now(); s.HasDevice("a") && time.Since(begin) < 30*time.Second; {
		time.Sleep(20 * time.Millisecond)
	}
	if s.HasDevice("a") {
		t.Error("the device was not deleted after it was closed")
	}
	gone(t, s)
}

// keptInKernel checks that a pool and a device stay active without a thintree process.
func keptInKernel(t *testing.T) {
	ctx := t.Context()
	s, root := made(t)
	active := func() bool {
		t.Helper()
		c, err := dm.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Info(ctx, s.poolName())
		return err == nil
	}
	again := func(end func(context.Context) error) {
		t.Helper()
		err := end(ctx)
		if err == nil {
			s, err = NewDeviceSet(ctx, root, false, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(ctx); err != nil || active() {
		t.Fatalf("a closed store keeps its pool active: %v", err)
	}
	again(func(context.Context) error { return nil })
	if err := s.KeepPool(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.AddDevice(ctx, "a", "", 0)); err != nil {
		t.Fatal(err)
	}
	again(s.Close)
	if _, err := s.ActivateDevice(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	again(s.Close)
	if st, err := s.DeviceStatus(ctx, "a"); err != nil || !st.Active {
		t.Errorf("%+v, %v", st, err)
	}
	if err := s.DeactivateDevice(ctx, "a"); err != nil {
		t.Error(err)
	}
	if err := s.Close(ctx); err != nil || !active() {
		t.Errorf("the kept pool is not active: %v", err)
	}
	again(func(context.Context) error { return nil })
	gone(t, s)
}

func xfsInKernel(t *testing.T) {
	ctx := t.Context()
	root := filepath.Join(t.TempDir(), "store")
	s, err := NewDeviceSet(ctx, root, true, []string{"dm.basesize=320M", "dm.fs=xfs", "dm.loopdatasize=1G", "dm.loopmetadatasize=16M"})
	if err != nil {
		t.Fatal(err)
	}
	first, second := t.TempDir(), t.TempDir()
	const longer = 448 << 20
	err = errors.Join(
		s.AddDevice(ctx, "a", "", 0), s.MountDevice(ctx, "a", first, ""),
		s.AddDevice(ctx, "b", "a", longer), s.MountDevice(ctx, "b", second, ""),
	)
	if err != nil {
		t.Error(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(second, &st); err != nil || int64(st.Blocks)*st.Bsize < 320<<20 { // without its log
		t.Errorf("the longer device's filesystem has %d bytes, %v", int64(st.Blocks)*st.Bsize, err)
	}
	gone(t, s)
}
