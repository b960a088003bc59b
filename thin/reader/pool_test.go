package reader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// blocks is a device that maps its first length blocks to the data blocks from data on.
func blocks(id uint32, data, length int64) deviceSpec {
	return deviceSpec{id: id, transaction: uint64(id), runs: []runSpec{{0, data, length, 0}}}
}

func poolOf(dataBlocks int64, devices ...deviceSpec) poolSpec {
	return poolSpec{blockBytes: 64 * kib, dataBlocks: dataBlocks, devices: devices}
}

func readAll(t *testing.T, d *Device) []byte {
	t.Helper()
	p := make([]byte, d.Size())
	if n, err := d.ReadAt(t.Context(), p, 0); n < len(p) || err != nil && err != io.EOF {
		t.Fatalf("%d of %d bytes: %v", n, len(p), err)
	}
	return p
}

func refresh(t *testing.T, p *Pool) bool {
	t.Helper()
	changed, err := p.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func ids(t *testing.T, p *Pool) (list []uint32) {
	t.Helper()
	for d, err := range p.Devices(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, d.ID)
	}
	return list
}

func TestEndOfDevice(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(4, blocks(1, 0, 4)))
	const size = 3*64*kib - 100
	d := openDeviceOf(t, files.open(t, Options{}), 1, size)
	for _, c := range []struct {
		off, length int64
		n           int
		err         error
	}{
		{0, 0, 0, nil},
		{size - 10, 9, 9, nil},
		{size - 10, 11, 10, io.EOF},
		{size, 1, 0, io.EOF},
		{size + 5, 1, 0, io.EOF},
		{math.MaxInt64, 1, 0, io.EOF},
		{-1, 1, 0, syscall.EINVAL},
	} {
		n, err := d.ReadAt(t.Context(), make([]byte, c.length), c.off)
		if n != c.n || !errors.Is(err, c.err) {
			t.Errorf("%d bytes at %d: %d, %v, want %d, %v", c.length, c.off, n, err, c.n, c.err)
		}
	}
	for _, seek := range []func(context.Context, int64) (int64, error){d.NextData, d.NextHole} {
		if at, err := seek(t.Context(), size); err != io.EOF {
			t.Error(at, err)
		}
		if at, err := seek(t.Context(), -1); !errors.Is(err, syscall.EINVAL) {
			t.Error(at, err)
		}
	}
}

func TestHolesOfALongDeviceAreFound(t *testing.T) {
	t.Parallel()
	p := newPool(t, poolOf(4, blocks(1, 0, 2))).open(t, Options{})
	d := openDeviceOf(t, p, 1, math.MaxInt64)
	if at, err := d.NextHole(t.Context(), 0); at != 128*kib || err != nil {
		t.Error(at, err)
	}
	if at, err := d.NextData(t.Context(), 128*kib); err != io.EOF {
		t.Error(at, err)
	}
	if n, err := d.ReadAt(t.Context(), make([]byte, 100), math.MaxInt64-50); n != 50 || err != io.EOF {
		t.Error(n, err)
	}
	if n, err := p.MappedBytes(t.Context(), 1); n != 128*kib || err != nil {
		t.Error(n, err)
	}
}

// countedHalf counts its reads.
type countedHalf struct {
	block.Reader
	reads int
}

func (c *countedHalf) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	c.reads++
	return c.Reader.ReadAt(ctx, p, off)
}

func TestContiguousBlocksAreReadAtOnce(t *testing.T) {
	t.Parallel()
	spec := deviceSpec{id: 1, runs: []runSpec{{0, 10, 90, 0}, {90, 110, 10, 0}}}
	files := newPool(t, poolOf(128, spec))
	p := files.open(t, Options{})
	counted := &countedHalf{Reader: p.state.data.Reader}
	p.state.data.Reader = counted
	got := readAll(t, openDeviceOf(t, p, 1, 100*64*kib))
	if counted.reads != 2 {
		t.Errorf("%d reads, want 2", counted.reads)
	}
	if want := append(files.dataAt(t, 10*64*kib, 90*64*kib), files.dataAt(t, 110*64*kib, 10*64*kib)...); !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
}

func TestErrorOfTheExternalOriginIsReturned(t *testing.T) {
	t.Parallel()
	p := newPool(t, poolOf(4, blocks(1, 0, 1))).open(t, Options{})
	d, err := p.OpenDevice(t.Context(), 1, 256*kib, brokenOrigin{newSparse(256*kib, func(int) bool { return false })})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(t.Context(), make([]byte, 128*kib), 0); n < 64*kib || !errors.Is(err, syscall.EIO) {
		t.Error(n, err)
	}
	if at, err := d.NextHole(t.Context(), 0); !errors.Is(err, syscall.EIO) {
		t.Error(at, err)
	}
}

type brokenOrigin struct{ *sparse }

func (brokenOrigin) ReadAt(context.Context, []byte, int64) (int, error) { return 0, syscall.EIO }
func (brokenOrigin) NextHole(context.Context, int64) (int64, error)     { return 0, syscall.EIO }

func TestDataShorterThanThePool(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(8, blocks(1, 0, 8)))
	const size = 8 * 64 * kib
	if err := os.Truncate(files.data, 5*64*kib+1000); err != nil {
		t.Fatal(err)
	}
	p := files.open(t, Options{})
	if w := p.Warnings(); len(w) != 1 || !strings.Contains(w[0].Error(), files.data) {
		t.Errorf("%v", w)
	}
	d := openDeviceOf(t, p, 1, size)
	n, err := d.ReadAt(t.Context(), make([]byte, size), 0)
	var beyond *BeyondDataError
	if !errors.As(err, &beyond) || !errors.Is(err, syscall.EIO) || n != 5*64*kib+1000 || beyond.Offset != int64(n) || beyond.Size != int64(n) {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := d.ReadAt(t.Context(), make([]byte, 1), size-1); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Error(n, err)
	}
	if at, err := d.NextHole(t.Context(), 0); at != size || err != nil {
		t.Error("data that cannot be read do not count as data: ", at, err)
	}
}

func TestNoDevice(t *testing.T) {
	t.Parallel()
	p := newPool(t, poolOf(4, blocks(1, 0, 1))).open(t, Options{})
	for _, id := range []uint32{0, 2, pdata.MaxDevices, math.MaxUint32} {
		_, err := p.OpenDevice(t.Context(), id, 1, nil)
		var none *pdata.NoDeviceError
		if !errors.As(err, &none) || none.ID != id || !errors.Is(err, syscall.ENXIO) {
			t.Errorf("device %d: %v", id, err)
		}
		if _, err := p.MappedBytes(t.Context(), id); !errors.Is(err, syscall.ENXIO) {
			t.Errorf("device %d: %v", id, err)
		}
	}
}

func TestDamagedLeafTakesItsRangeOnly(t *testing.T) {
	t.Parallel()
	spec := deviceSpec{id: 1, runs: []runSpec{{0, 0, 3 * perLeaf, 0}}}
	files := newPool(t, poolOf(200, spec, blocks(2, 0, 4)))
	files.edit(t, func(metadata []byte) { leafOf(t, metadata, perLeaf, perLeaf)[2000] ^= 1 })
	p := files.open(t, Options{})
	const begin, end, size = perLeaf * 64 * kib, 2 * perLeaf * 64 * kib, 4 * perLeaf * 64 * kib
	d := openDeviceOf(t, p, 1, size)
	for _, c := range []struct {
		off int64
		ok  bool
	}{{0, true}, {begin - 1, true}, {begin, false}, {end - 1, false}, {end, true}, {3 * begin, true}} {
		_, err := d.ReadAt(t.Context(), make([]byte, 1), c.off)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, syscall.EIO) {
			t.Errorf("at %d: %v", c.off, err)
		}
	}
	if n, err := d.ReadAt(t.Context(), make([]byte, size), 0); n != begin || !errors.Is(err, syscall.EIO) {
		t.Errorf("%d bytes, want %d: %v", n, begin, err)
	}
	if at, err := d.NextHole(t.Context(), 0); at != 3*begin || err != nil {
		t.Error("damage does not count as data: ", at, err)
	}
	if at, err := d.NextData(t.Context(), begin+5); at != begin+5 || err != nil {
		t.Error("damage does not count as data: ", at, err)
	}
	readAll(t, openDeviceOf(t, p, 2, 4*64*kib))
}

func TestHeldRootShowsThePoolAsItWas(t *testing.T) {
	t.Parallel()
	spec := poolOf(16, blocks(1, 0, 4), blocks(2, 4, 4))
	files := newPool(t, spec)
	files.edit(t, hold)
	// Delete device 2: a new device tree has one entry less.
	files.edit(t, func(metadata []byte) {
		root := le.Uint64(metadata[320:])
		const fresh = metadataBlocks - 2
		p := metadata[fresh*metadataBlock:][:metadataBlock]
		copy(p, metadata[root*metadataBlock:][:metadataBlock])
		le.PutUint32(p[16:], 1)
		seal(p, fresh, nodeSalt)
		le.PutUint64(metadata[320:], fresh)
		seal(metadata[:metadataBlock], 0, superblockSalt)
	})
	if _, err := files.open(t, Options{}).OpenDevice(t.Context(), 2, 1, nil); !errors.Is(err, syscall.ENXIO) {
		t.Error(err)
	}
	d := openDeviceOf(t, files.open(t, Options{HeldRoot: true}), 2, 4*64*kib)
	if !bytes.Equal(readAll(t, d), files.dataAt(t, 4*64*kib, 4*64*kib)) {
		t.Error("other bytes")
	}
}

func TestNoHeldRoot(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(4))
	if _, err := Open(t.Context(), block.At(files.metadata), block.At(files.data), Options{HeldRoot: true}); !errors.Is(err, pdata.ErrNoHeldRoot) {
		t.Error(err)
	}
}

func TestRefreshOfAPoolThatWasChangedOffline(t *testing.T) {
	t.Parallel()
	spec := poolOf(16, blocks(1, 0, 4), blocks(2, 4, 4), blocks(3, 8, 4))
	files := newPool(t, spec)
	p := files.open(t, Options{})
	same, again, gone := openDeviceOf(t, p, 1, 4*64*kib), openDeviceOf(t, p, 2, 4*64*kib), openDeviceOf(t, p, 3, 4*64*kib)
	readAll(t, same)
	epoch := p.Epoch()
	if refresh(t, p) || p.Epoch() != epoch {
		t.Error("a change is reported, but there was none")
	}
	spec.transaction, spec.devices = 7, []deviceSpec{blocks(1, 12, 4), blocks(2, 4, 4)}
	spec.devices[1].transaction = 99
	files.format(t, spec)
	if !refresh(t, p) || p.Epoch() == epoch || p.Usage().TransactionID != 7 {
		t.Error("the change was not seen")
	}
	if got := ids(t, p); !slices.Equal(got, []uint32{1, 2}) {
		t.Error(got)
	}
	if !bytes.Equal(readAll(t, same), files.dataAt(t, 12*64*kib, 4*64*kib)) {
		t.Error("read as it was mapped before")
	}
	for _, d := range []*Device{again, gone} {
		if n, err := d.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, syscall.ENXIO) {
			t.Errorf("device %d: %d, %v", d.id, n, err)
		}
	}
}

func TestPoolThatGrows(t *testing.T) {
	t.Parallel()
	spec := poolOf(4, blocks(1, 0, 4))
	files := newPool(t, spec)
	p := files.open(t, Options{})
	d := openDeviceOf(t, p, 1, 8*64*kib)
	readAll(t, d)
	spec.dataBlocks, spec.devices = 8, []deviceSpec{blocks(1, 0, 8)}
	files.fill(t, spec)
	files.format(t, spec)
	if !refresh(t, p) || len(p.Warnings()) > 0 {
		t.Error("the growth was not seen: ", p.Warnings())
	}
	if !bytes.Equal(readAll(t, d), files.dataAt(t, 0, 8*64*kib)) {
		t.Error("other bytes")
	}
}

// replace replaces the state of a pool, as Refresh does if the pool becomes live or is no longer
// live.
func (p *Pool) replace(t *testing.T, liveBy string) {
	t.Helper()
	if err := p.reopen(t.Context(), p.current(), p.given, liveBy, true); err != nil {
		t.Error(err)
	}
}

// openFiles counts the descriptors of this process that are of a file.
func openFiles(t *testing.T, path string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == path {
			n++
		}
	}
	return n
}

func TestIdlePoolHoldsNothingOpen(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(16, blocks(1, 0, 4)))
	p := files.open(t, Options{})
	d := openDeviceOf(t, p, 1, 4*64*kib)
	for range 2 {
		readAll(t, d)
		if openFiles(t, files.data) == 0 {
			t.Error("the data are not open after a read")
		}
		for end := time.Now().Add(2 * block.Linger); openFiles(t, files.metadata)+openFiles(t, files.data) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the pool is held open without reads")
			}
		}
	}
}

func TestHalvesThatWereMissingAreTakenForOthers(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(16, blocks(1, 0, 4)))
	p := files.open(t, Options{})
	d := openDeviceOf(t, p, 1, 4*64*kib)
	readAll(t, d)
	epoch, aside := p.Epoch(), files.metadata+".aside"
	time.Sleep(2 * block.Linger)
	if err := os.Rename(files.metadata, aside); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Refresh(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error("missing halves: ", err)
	}
	if _, err := p.MappedBytes(t.Context(), 1); err != nil && (!errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOENT)) {
		t.Error("a volume of a missing pool must be unreadable, not missing: ", err)
	}
	if err := os.Rename(aside, files.metadata); err != nil {
		t.Fatal(err)
	}
	if !refresh(t, p) || p.Epoch() == epoch {
		t.Error("halves that were missing are taken for unchanged")
	}
	if !bytes.Equal(readAll(t, d), files.dataAt(t, 0, 4*64*kib)) {
		t.Error("other bytes")
	}
}

func TestEpochChangesWithTheFilesOfAnInactivePool(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(16, blocks(1, 0, 4)))
	p := files.open(t, Options{})
	for name, path := range map[string]string{"metadata": files.metadata, "data": files.data} {
		epoch := p.Epoch()
		time.Sleep(20 * time.Millisecond) // longer than a tick of the filesystem's clock
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err = f.ReadAt(b, 12345); err == nil { // written in place: no length and no mapping changes
			_, err = f.WriteAt(b, 12345)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if !refresh(t, p) || p.Epoch() == epoch {
			t.Errorf("a write to the %s was not seen", name)
		}
		if epoch = p.Epoch(); refresh(t, p) || p.Epoch() != epoch {
			t.Errorf("a change of the %s is reported again", name)
		}
	}
}

func TestOpenDeviceOutlivesReplacedStates(t *testing.T) {
	t.Parallel()
	spec := poolOf(16, blocks(1, 0, 4), blocks(2, 4, 4))
	files := newPool(t, spec)
	p := files.open(t, Options{})
	d, other := openDeviceOf(t, p, 1, 4*64*kib), openDeviceOf(t, p, 2, 4*64*kib)
	readAll(t, d)
	p.replace(t, "loop9")
	if !p.Live() || p.LiveBy() != "loop9" || !bytes.Equal(readAll(t, d), files.dataAt(t, 0, 4*64*kib)) {
		t.Error("not live, or other bytes")
	}
	spec.transaction, spec.devices = 5, []deviceSpec{blocks(1, 8, 4), blocks(2, 4, 4)}
	spec.devices[1].transaction = 99
	files.format(t, spec)
	p.replace(t, "")
	if !bytes.Equal(readAll(t, d), files.dataAt(t, 8*64*kib, 4*64*kib)) {
		t.Error("read as it was mapped before")
	}
	if n, err := other.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, syscall.ENXIO) {
		t.Error("another device has its id: ", n, err)
	}
}

func TestReplacedStateIsClosedAfterItsUsers(t *testing.T) {
	t.Parallel()
	p := newPool(t, poolOf(16, blocks(1, 0, 4), blocks(2, 4, 4))).open(t, Options{})
	old := p.state
	for _, err := range p.Devices(t.Context()) {
		if err != nil {
			t.Fatal("list devices while the state is replaced: ", err)
		}
		if p.current() == old {
			p.replace(t, "loop9")
		}
	}
	for range 100 {
		if _, err := old.data.ReadAt(t.Context(), make([]byte, 1), 0); errors.Is(err, os.ErrClosed) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the replaced state stays open")
}

func TestConcurrentReadersWhileThePoolIsReplaced(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(16, blocks(1, 0, 8), blocks(2, 8, 8)))
	p := files.open(t, Options{})
	want := files.dataAt(t, 8*64*kib, 8*64*kib)
	d := openDeviceOf(t, p, 2, 8*64*kib)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		readers.Go(func() {
			for off := int64(i) * 1000; ; off = (off + 12345) % (7 * 64 * kib) {
				select {
				case <-stop:
					return
				default:
				}
				got := make([]byte, 64*kib)
				if _, err := d.ReadAt(t.Context(), got, off); err != nil || !bytes.Equal(got, want[off:][:64*kib]) {
					t.Errorf("at %d: %v", off, err)
				}
				if at, err := d.NextHole(t.Context(), off); at != d.Size() || err != nil {
					t.Error(at, err)
				}
				for _, err := range p.Devices(t.Context()) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range 20 {
		p.replace(t, []string{"loop9", ""}[i%2])
		if _, err := p.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
}

// loopOver attaches a loop device to a file until the test ends.
func loopOver(t *testing.T, file string, options ...string) (device string, detach func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: to attach a loop device")
	}
	out, err := exec.Command("losetup", append(options, "--find", "--show", file)...).CombinedOutput()
	if err != nil {
		t.Skipf("needs a loop device: %v: %s", err, out)
	}
	device = strings.TrimSpace(string(out))
	detach = sync.OnceFunc(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})
	t.Cleanup(detach)
	return device, detach
}

func TestHalvesOnBlockDevices(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(16, blocks(1, 4, 8)))
	metadata, _ := loopOver(t, files.metadata, "--read-only")
	data, _ := loopOver(t, files.data, "--read-only")
	p := poolFiles{metadata, data}.open(t, Options{})
	if p.Live() || len(p.Warnings()) > 0 {
		t.Error(p.LiveBy(), p.Warnings())
	}
	if !bytes.Equal(readAll(t, openDeviceOf(t, p, 1, 8*64*kib)), files.dataAt(t, 4*64*kib, 8*64*kib)) {
		t.Error("other bytes")
	}
}

func TestLoopDeviceOverTheDataMakesThePoolLive(t *testing.T) {
	t.Parallel()
	files := newPool(t, poolOf(16, blocks(1, 4, 8)))
	p := files.open(t, Options{})
	d := openDeviceOf(t, p, 1, 8*64*kib)
	want := readAll(t, d)
	epoch := p.Epoch()
	device, detach := loopOver(t, files.data)
	if !refresh(t, p) || !p.Live() || "/dev/"+p.LiveBy() != device || p.Epoch() == epoch {
		t.Errorf("live by %q, not %s", p.LiveBy(), device)
	}
	if !bytes.Equal(readAll(t, d), want) {
		t.Error("other bytes")
	}
	epoch = p.Epoch()
	detach()
	for range 100 { // another test may have the loop device open for a moment
		if refresh(t, p) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if p.Live() || p.Epoch() == epoch {
		t.Error("still live by ", p.LiveBy())
	}
	if !bytes.Equal(readAll(t, d), want) {
		t.Error("other bytes")
	}
}
