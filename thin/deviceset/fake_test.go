package deviceset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
	"thintree/thin/dm/dmtest"
)

// fakePool is a pool of a fake kernel; it is not the store's own.
const fakePool = "pool"

// fakeParams are the usual parameters of its table.
const fakeParams = "7:100 7:101 128 0"

var fakeMetadata, fakeData = unix.Mkdev(7, 100), unix.Mkdev(7, 101)

// fake is a fake kernel with an active pool, and a folder for a store.
type fake struct {
	*dmtest.Kernel
	root string
	fs   *fakeFilesystems
}

func newFake(t testing.TB) *fake { return newFakeWith(t, fakeParams) }

// newFakeWith is newFake with other parameters of the pool's table.
func newFakeWith(t testing.TB, params string) *fake {
	t.Helper()
	f, err := makeFake(filepath.Join(t.TempDir(), "store"), params)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func makeFake(root, params string) (*fake, error) {
	k := dmtest.New()
	c, err := dm.New(k.Control)
	if err != nil {
		return nil, err
	}
	const sectors = 1 << 22
	k.SetDisk(fakeData, sectors)
	_, err = c.Activate(context.Background(), dm.Spec{Name: fakePool, Udev: dm.Hidden, Table: []dm.Target{
		{Length: sectors, Type: "thin-pool", Params: params},
	}})
	if err != nil {
		return nil, err
	}
	return &fake{k, root, &fakeFilesystems{kernel: k, client: c, at: map[string]fakeMount{}}}, nil
}

// open opens the store, with its own client, as another process would.
func (f *fake) open(ctx context.Context, doInit bool, options ...string) (*DeviceSet, error) {
	o, err := ParseOptions(append([]string{"dm.thinpooldev=" + fakePool, "dm.basesize=64M"}, options...))
	if err != nil {
		return nil, err
	}
	return f.openWith(ctx, doInit, o)
}

func (f *fake) openWith(ctx context.Context, doInit bool, o Options) (*DeviceSet, error) {
	c, err := dm.New(f.Control)
	if err != nil {
		return nil, err
	}
	kernel := thin.NewKernel(c)
	s, err := open(ctx, f.root, doInit, o, kernel, f.fs)
	if err != nil {
		return nil, errors.Join(err, kernel.Close())
	}
	return s, nil
}

func (f *fake) mustOpen(t testing.TB, options ...string) *DeviceSet {
	t.Helper()
	s, err := f.open(t.Context(), true, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// agrees returns an error if the records and the pool have different devices, or a
// transaction is under way.
func (f *fake) agrees(ctx context.Context) error {
	pool, ok := f.Pool(fakeMetadata)
	if !ok {
		return errors.New("there is no pool")
	}
	records := filepath.Join(f.root, record.RecordsDir)
	devices, damaged, err := record.ReadDir(ctx, records)
	if err := errors.Join(append(damaged, err)...); err != nil {
		return err
	}
	var recorded []uint32
	for _, d := range devices {
		recorded = append(recorded, d.ID)
	}
	slices.Sort(recorded)
	if ids := slices.Sorted(maps.Keys(pool.IDs)); !slices.Equal(ids, recorded) {
		return fmt.Errorf("the pool has devices %v, the records have %v", ids, recorded)
	}
	if t, err := record.ReadTransaction(records); err != nil || t.OpenID > pool.TransactionID {
		return fmt.Errorf("transaction %+v, %v, with the pool at %d", t, err, pool.TransactionID)
	}
	return nil
}

// fakeFilesystems are the filesystems of a fake kernel. Once one is made every device has
// one.
type fakeFilesystems struct {
	kernel *dmtest.Kernel
	client *dm.Client

	mu   sync.Mutex
	made bool
	at   map[string]fakeMount
	busy bool // an unmount fails, or a lazy one leaves the device open
}

type fakeMount struct {
	number uint64
	name   string
}

func (f *fakeFilesystems) find(device string) (fakeMount, error) {
	list, err := f.client.List(context.Background())
	for _, d := range list {
		if dm.NodePath(d.Number) == device {
			return fakeMount{d.Number, d.Name}, nil
		}
	}
	return fakeMount{}, errors.Join(err, fmt.Errorf("%s: %w", device, unix.ENXIO))
}

func (f *fakeFilesystems) make(_ context.Context, _ string, _ []string, device string) error {
	_, err := f.find(device)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made = f.made || err == nil
	return err
}

func (f *fakeFilesystems) identify(_ context.Context, device string) (fs, uuid string, err error) {
	_, err = f.find(device)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.made {
		err = errors.Join(err, errors.New("no filesystem"))
	}
	return ext4, "0123", err
}

func (f *fakeFilesystems) grow(context.Context, string, string, string) error { return nil }

func (f *fakeFilesystems) mount(device, dir, _, _ string) error {
	m, err := f.find(device)
	if err == nil {
		err = f.kernel.Open(m.name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.at[dir] = m
	}
	return err
}

func (f *fakeFilesystems) unmount(dir string, lazily bool) error {
	f.mu.Lock()
	m, ok := f.at[dir]
	busy := f.busy
	if ok && (lazily || !busy) {
		delete(f.at, dir)
	}
	f.mu.Unlock()
	switch {
	case !ok:
		return unix.EINVAL
	case busy && !lazily:
		return unix.EBUSY
	case busy:
		return nil // the device stays open
	}
	return f.kernel.Close(m.name)
}

func (f *fakeFilesystems) mounts(number uint64) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var dirs []string
	for dir, m := range f.at {
		if m.number == number {
			dirs = append(dirs, dir)
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return strings.Compare(b, a) })
	return dirs, nil
}
