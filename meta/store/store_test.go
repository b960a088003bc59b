package store

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/tests/pools"
	"thintree/thin/block"
)

// newStore makes a store with devices of the ids 1, 2, …, and a pool with the transaction
// id 100.
func newStore(t testing.TB, hashes ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, record.RecordsDir), 0o700), os.Mkdir(filepath.Join(dir, record.PoolDir), 0o700)); err != nil {
		t.Fatal(err)
	}
	for i, hash := range hashes {
		write(t, dir, hash, record.Device{ID: uint32(i + 1), SizeBytes: 1 << 20, TransactionID: uint64(i + 1)})
	}
	if err := os.WriteFile(filepath.Join(dir, record.PoolData), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	writePool(t, dir, 100)
	return dir
}

func write(t testing.TB, dir, hash string, d record.Device) {
	t.Helper()
	if err := record.WriteDevice(filepath.Join(dir, record.RecordsDir), hash, d); err != nil {
		t.Fatal(err)
	}
}

func begin(t testing.TB, dir string, x record.Transaction) {
	t.Helper()
	if err := record.WriteTransaction(filepath.Join(dir, record.RecordsDir), x); err != nil {
		t.Fatal(err)
	}
}

// writePool writes the pool's files, with a superblock that has a transaction id.
func writePool(t testing.TB, dir string, transaction uint64) {
	t.Helper()
	sb := make([]byte, 4096)
	le := binary.LittleEndian
	le.PutUint64(sb[32:], 27022010)    // magic
	le.PutUint32(sb[40:], 2)           // version
	le.PutUint64(sb[48:], transaction) // trans_id
	le.PutUint32(sb[336:], 128)        // data_block_size
	le.PutUint32(sb[340:], 8)          // metadata_block_size
	le.PutUint32(sb, ^crc32.Checksum(sb[4:], crc32.MakeTable(crc32.Castagnoli))^160774)
	if err := os.WriteFile(filepath.Join(dir, record.PoolMetadata), sb, 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, dir string) *meta.Catalog {
	t.Helper()
	c, err := New(dir, Options{}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVolumesAreNamedByTheirRecords(t *testing.T) {
	t.Parallel()
	dir := newStore(t, "", "web", "web-init", "lone-init", "gone")
	write(t, dir, "gone", record.Device{ID: 5, SizeBytes: 1 << 20, TransactionID: 5, Deleted: true})
	begin(t, dir, record.Transaction{OpenID: 101, Hash: "web", DeviceID: 2})
	volume := func(id uint32, name string, role meta.Role, state meta.State) meta.Volume {
		return meta.Volume{
			Name: name, Pool: "pool", DeviceID: id, SizeBytes: 1 << 20, Role: role, State: state, TransactionID: uint64(id),
			Record: filepath.Join(dir, record.RecordsDir, name),
		}
	}
	want := &meta.Catalog{
		Pools: []meta.Pool{{Name: "pool", Metadata: block.At(filepath.Join(dir, record.PoolMetadata)), Data: block.At(filepath.Join(dir, record.PoolData))}},
		Volumes: []meta.Volume{
			volume(1, "base", meta.RoleBase, ""),
			volume(5, "gone", meta.RoleVolume, meta.StateDeleted),
			volume(4, "lone-init", meta.RoleVolume, ""),
			volume(2, "web", meta.RoleVolume, meta.StateHalf),
			volume(3, "web-init", meta.RoleInit, ""),
		},
	}
	if diff := cmp.Diff(want, load(t, dir)); diff != "" {
		t.Error(diff)
	}
	if s := New(dir, Options{}).String(); s != "store:"+dir {
		t.Error(s)
	}
}

func TestDockersOwnStoreIsRead(t *testing.T) {
	t.Parallel()
	c := load(t, filepath.Join(pools.Docker(t), "devicemapper"))
	roles := make(map[meta.Role]int)
	for _, v := range c.Volumes {
		roles[v.Role]++
	}
	want := map[meta.Role]int{meta.RoleBase: 1, meta.RoleInit: 3, meta.RoleVolume: 6}
	if diff := cmp.Diff(want, roles); diff != "" || len(c.Warnings) > 0 {
		t.Error(diff, c.Warnings)
	}
}

func TestFilesystemOfTheBaseDeviceIsRecorded(t *testing.T) {
	t.Parallel()
	dir := newStore(t, "", "a")
	if err := record.WriteDeviceSet(filepath.Join(dir, record.RecordsDir), record.DeviceSet{BaseDeviceUUID: "ab-cd"}); err != nil {
		t.Fatal(err)
	}
	for _, v := range load(t, dir).Volumes {
		want := map[string]string{"base": "ab-cd"}[v.Name]
		if v.FilesystemUUID != want {
			t.Errorf("%s: UUID %q, want %q", v.Name, v.FilesystemUUID, want)
		}
	}
}

func TestDamagedRecordLosesOnlyItself(t *testing.T) {
	t.Parallel()
	dir := newStore(t, "", "a")
	for _, name := range []string{"b", "transaction-metadata", "deviceset-metadata"} {
		if err := os.WriteFile(filepath.Join(dir, record.RecordsDir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c := load(t, dir); len(c.Volumes) != 2 || len(c.Warnings) != 3 {
		t.Error(c.Volumes, c.Warnings)
	}
}

func TestPoolOutsideTheStoreMustBeNamed(t *testing.T) {
	t.Parallel()
	dir := newStore(t, "")
	if err := os.RemoveAll(filepath.Join(dir, record.PoolDir)); err != nil {
		t.Fatal(err)
	}
	_, err := New(dir, Options{}).Load(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "store:"+dir+": devicemapper/metadata: ") || !strings.Contains(err.Error(), "--pool META,DATA") || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	c, err := New(dir, Options{Pool: &meta.Pool{Metadata: block.At("/dev/m"), Data: block.At("/dev/d")}}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]meta.Pool{{Name: "pool", Metadata: block.At("/dev/m"), Data: block.At("/dev/d")}}, c.Pools); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsForWhatIsNotAStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing, empty, file := filepath.Join(dir, "missing"), filepath.Join(dir, "empty"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(empty, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, c := range map[string]struct {
		text string
		is   error
	}{
		missing: {": no such directory", fs.ErrNotExist},
		empty:   {": metadata: no such directory: is this a store?", fs.ErrNotExist},
		file:    {": metadata: not a directory: is this a store?", unix.ENOTDIR},
	} {
		_, err := New(path, Options{}).Load(t.Context())
		if want := "store:" + path + c.text; err == nil || err.Error() != want || !errors.Is(err, c.is) {
			t.Errorf("%v\nwant %s", err, want)
		}
		if Recognise(path) {
			t.Errorf("%s is recognised", path)
		}
	}
}

func TestStoreIsRecognisedByItsRecords(t *testing.T) {
	t.Parallel()
	base, set := newStore(t, ""), newStore(t)
	if Recognise(set) {
		t.Error("a folder without records is recognised")
	}
	if err := record.WriteDeviceSet(filepath.Join(set, record.RecordsDir), record.DeviceSet{}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{base, set} {
		if !Recognise(dir) {
			t.Errorf("%s is not recognised", dir)
		}
	}
}

func TestStampChangesWithTheCatalog(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t testing.TB, dir string){
		"a new device": func(t testing.TB, dir string) { write(t, dir, "b", record.Device{}) },
		"a deleted device": func(t testing.TB, dir string) {
			if err := record.RemoveDevice(filepath.Join(dir, record.RecordsDir), "a"); err != nil {
				t.Fatal(err)
			}
		},
		"a device marked as deleted": func(t testing.TB, dir string) { write(t, dir, "a", record.Device{ID: 2, Deleted: true}) },
		"the end of a transaction":   func(t testing.TB, dir string) { writePool(t, dir, 101) },
		"a lost store": func(t testing.TB, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newStore(t, "", "a")
			begin(t, dir, record.Transaction{OpenID: 101, Hash: "a", DeviceID: 2})
			settled := func() string {
				t.Helper()
				time.Sleep(2 * record.Tick)
				stamp, err := New(dir, Options{}).Stamp(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return stamp
			}
			before := settled()
			if again := settled(); again != before {
				t.Errorf("%s, then %s without a change", before, again)
			}
			change(t, dir)
			if after := settled(); after == before {
				t.Error("the stamp is the same")
			}
		})
	}
}

func TestContextEndsLoadAndStamp(t *testing.T) {
	t.Parallel()
	s := New(newStore(t, ""), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := s.Stamp(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The error for an ordinary user says that this is a store that they may not read.
func TestForbiddenStoreIsRecognised(t *testing.T) {
	t.Parallel()
	dir := newStore(t, "")
	for _, d := range []string{filepath.Dir(filepath.Dir(dir)), filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, record.RecordsDir), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, record.RecordsDir), 0o700) })
	asUser(t, func() {
		if !Recognise(dir) {
			t.Error("not recognised")
		}
		_, err := New(dir, Options{}).Load(t.Context())
		if want := "store:" + dir + ": metadata: permission denied: only its owner and root can read it"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v\nwant %s", err, want)
		}
	})
}

// asUser runs f as an unprivileged user, on a thread of its own.
func asUser(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Error(err)
		}
		f()
	}()
	<-done
}
