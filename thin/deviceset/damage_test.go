package deviceset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thintree/meta/record"
	"thintree/thin/pdata"
)

// written writes a file among the records of a closed store.
func (f *fake) written(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.root, record.RecordsDir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedRecordsStayAndLoseOnlyTheirDevices(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFake(t)
	s := f.mustOpen(t)
	if err := errors.Join(s.AddDevice(ctx, "a", "", 0), s.AddDevice(ctx, "b", "", 0), s.Shutdown(ctx)); err != nil {
		t.Fatal(err)
	}
	f.written(t, "a", `{"device_id":`)
	f.written(t, "lost", `{"device_id":77,"size":67108864}`)
	f.written(t, "twice", `{"device_id":88,"size":67108864}`)
	f.written(t, "again", `{"device_id":88,"size":67108864}`)
	f.written(t, record.DeviceSetFile, `{"next`)
	s = f.mustOpen(t)
	if got := s.List(); !slices.Equal(got, []string{"", "b", "lost"}) {
		t.Errorf("%q", got)
	}
	if st, err := s.Status(ctx); err != nil || len(st.Problems) != 4 {
		t.Errorf("%q, %v", st.Problems, err)
	}
	if err := s.AddDevice(ctx, "a", "", 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a damaged record was replaced: %v", err)
	}
	err := s.MountDevice(ctx, "lost", t.TempDir(), "")
	if _, ok := errors.AsType[*pdata.NoDeviceError](err); !ok {
		t.Errorf("mount of a device that the pool lacks: %v", err)
	}
	if err := errors.Join(s.DeleteDevice(ctx, "lost"), s.AddDevice(ctx, "c", "", 0), s.Shutdown(ctx)); err != nil {
		t.Error(err)
	}
	if pool, _ := f.Pool(fakeMetadata); len(pool.IDs) != 4 { // base, a, b, c
		t.Errorf("the pool has %v", pool.IDs)
	}
}

func TestDamagedTransactionKeepsTheStoreReadable(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFake(t)
	s := f.mustOpen(t)
	if err := errors.Join(s.AddDevice(ctx, "a", "", 0), s.Shutdown(ctx)); err != nil {
		t.Fatal(err)
	}
	f.written(t, "transaction-metadata", `{"open_`)
	s = f.mustOpen(t)
	dir := t.TempDir()
	if err := errors.Join(s.MountDevice(ctx, "a", dir, ""), s.UnmountDevice(ctx, "a", dir)); err != nil {
		t.Error(err)
	}
	if st, err := s.Status(ctx); err != nil || len(st.Problems) != 1 {
		t.Errorf("%q, %v", st.Problems, err)
	}
	if err := s.AddDevice(ctx, "b", "", 0); err == nil || !strings.Contains(err.Error(), "transaction-metadata") {
		t.Errorf("add: %v", err)
	}
	if err := os.Remove(filepath.Join(f.root, record.RecordsDir, "transaction-metadata")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.AddDevice(ctx, "b", "", 0), s.Shutdown(ctx)); err != nil {
		t.Errorf("without the file: %v", err)
	}
	if err := f.recovers(ctx); err != nil {
		t.Error(err)
	}
}

// The device of another record must survive the undo of a transaction with its id.
func TestTransactionWithAnotherDevicesIDDeletesNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFake(t)
	s := f.mustOpen(t)
	if err := errors.Join(s.AddDevice(ctx, "a", "", 0), s.Shutdown(ctx)); err != nil {
		t.Fatal(err)
	}
	f.written(t, "transaction-metadata", `{"open_transaction_id":100,"device_hash":"x","device_id":2}`)
	s = f.mustOpen(t)
	defer s.Shutdown(ctx)
	if pool, _ := f.Pool(fakeMetadata); len(pool.IDs) != 2 || !s.HasDevice("a") {
		t.Errorf("the pool has %v, the store %q", pool.IDs, s.List())
	}
}
