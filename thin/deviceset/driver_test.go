package deviceset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"thintree/meta"
	"thintree/meta/store"
)

func TestDriverMountsOnceForAllUsers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFake(t)
	s := f.mustOpen(t)
	d, err := NewDriver(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Create(ctx, "a", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(ctx, "nothing", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get of a missing volume: %v", err)
	}
	if err := d.Put(ctx, "a"); err == nil {
		t.Error("put without a get")
	}
	for range 3 {
		if _, err := d.Get(ctx, "a", ""); err != nil {
			t.Fatal(err)
		}
	}
	f.fs.mu.Lock()
	f.fs.busy = true
	f.fs.mu.Unlock()
	if err := errors.Join(d.Put(ctx, "a"), d.Put(ctx, "a")); err != nil {
		t.Error(err)
	}
	if err := d.Put(ctx, "a"); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("put of a busy volume: %v", err)
	}
	if err := d.Remove(ctx, "a"); !errors.Is(err, ErrInUse) {
		t.Errorf("remove: %v", err)
	}
	f.fs.mu.Lock()
	f.fs.busy = false
	f.fs.mu.Unlock()
	if err := errors.Join(d.Put(ctx, "a"), d.Remove(ctx, "a"), d.Remove(ctx, "a")); err != nil {
		t.Error(err)
	}
	if len(d.states) != 0 {
		t.Errorf("states of unused volumes: %v", d.states)
	}
	if err := d.Cleanup(ctx); err != nil {
		t.Error(err)
	}
}

func driverInKernel(t *testing.T) {
	ctx := t.Context()
	s, root := made(t)
	d, err := NewDriver(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Create(ctx, "image", ""), d.Create(ctx, "c-init", "image"), d.Create(ctx, "c", "c-init")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		dir, err := d.Get(ctx, "c", "")
		if err != nil || dir != filepath.Join(root, "mnt/c/rootfs") {
			t.Fatal(dir, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Remove(ctx, "c"); !errors.Is(err, ErrInUse) {
		t.Errorf("remove of a volume in use: %v", err)
	}
	if err := d.Put(ctx, "c"); err != nil {
		t.Error(err)
	}
	if st, err := s.DeviceStatus(ctx, "c"); err != nil || len(st.Mounts) != 1 {
		t.Errorf("after one put of two: %+v, %v", st, err)
	}
	// The driver ends as if it was killed. The next one unmounts what it left mounted.
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if s, err = NewDeviceSet(ctx, root, false, nil); err != nil {
		t.Fatal(err)
	}
	if d, err = NewDriver(ctx, s); err != nil {
		t.Fatal(err)
	}
	if st, err := s.DeviceStatus(ctx, "c"); err != nil || st.Active {
		t.Errorf("left by the previous driver: %+v, %v", st, err)
	}
	if err := errors.Join(d.Remove(ctx, "c"), d.Remove(ctx, "c")); err != nil {
		t.Error(err)
	}
	if d.Exists("c") || !d.Exists("c-init") {
		t.Error(s.List())
	}
	if err := d.Cleanup(ctx); err != nil {
		t.Error(err)
	}
	if err := errors.Join(nothingLeft(t, root), agrees(t, root)); err != nil {
		t.Error(err)
	}
	readsAsStore(t, root)
}

// readsAsStore checks what the source store: shows of the driver's store.
func readsAsStore(t *testing.T, root string) {
	t.Helper()
	c, err := store.New(root, store.Options{}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range c.Volumes {
		names = append(names, v.Name)
		if v.State != "" || v.SizeBytes != 64<<20 || v.Name == "base" && v.Role != meta.RoleBase {
			t.Errorf("%+v", v)
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "base c-init image" || len(c.Warnings) > 0 {
		t.Errorf("volumes %s, warnings %v", got, c.Warnings)
	}
}
