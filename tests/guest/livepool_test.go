package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"thintree/thin/block"
	"thintree/thin/pdata"
	"thintree/thin/reader"
)

func TestLivePoolIsReadThroughItsBlockDevices(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		readWhileItMoves(t, p, p.metadata, p.data)
	})
}

// As Docker keeps its pool. The files lie on a filesystem that has O_DIRECT, which
// the guest's memory has not.
func TestLivePoolIsReadThroughTheFilesBeneath(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t, mounted(t, loop(t, filepath.Join(t.TempDir(), "image"), 768*mib)))
		readWhileItMoves(t, p, p.metadataFile, p.dataFile)
	})
}

const (
	origin = 1
	frozen = 2   // a snapshot that stays
	first  = 100 // of the snapshots that come and go, rising, at least one and at most two at a time

	maxRounds = 10               // of a snapshot that comes and one that goes
	maxTime   = 15 * time.Second // for them, if the guest is slow
)

// readWhileItMoves reads a pool in this process while snapshots come and go and
// their origin is written to.
func readWhileItMoves(t *testing.T, p *pool, metadata, data string) {
	p.create(t, origin)
	dir := mounted(t, p.activate(t, origin))
	write := func(round int) {
		t.Helper()
		text := make([]byte, mib/2)
		rand.NewChaCha8([32]byte{byte(round)}).Read(text)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file-", round%4)), text, 0o644); err != nil {
			t.Fatal(err)
		}
		sh(t, "sync -f "+dir)
	}
	write(0)
	p.snapshot(t, frozen, origin)
	p.snapshot(t, first, origin)
	r, err := reader.Open(t.Context(), block.At(metadata), block.At(data), reader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Live() {
		t.Error("the pool does not count as live")
	}
	reader := &liveReader{Pool: r, frozen: p.read(t, frozen)}

	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- reader.readUntil(stop) }()
	last := first
	goOn := func(since time.Duration) bool {
		return last < first+3 || last < first+maxRounds && since < maxTime ||
			reader.seen.Load() < 2 && since < time.Minute // the reader is held up
	}
	for start := time.Now(); goOn(time.Since(start)); last++ {
		p.snapshot(t, last+1, origin)
		write(last)
		p.delete(t, last)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	t.Logf("read %d times while %d snapshots came and went, %d of which were seen", reader.reads, last-first, reader.seen.Load())
	if reader.seen.Load() < 2 {
		t.Error("the pool hardly moved under the reader")
	}

	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := reader.read(uint32(last))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, p.read(t, last)) {
		t.Error("the last snapshot is not what the kernel reads")
	}
}

// liveReader reads a pool that moves.
type liveReader struct {
	*reader.Pool
	frozen []byte // what the device of this name holds

	reads int          // how often all was read
	seen  atomic.Int64 // how many snapshots that come and go were seen
	last  uint32       // the highest id seen
}

// readUntil reads again and again, and at least once after it is told to stop.
func (r *liveReader) readUntil(stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return r.readOnce()
		case <-time.After(50 * time.Millisecond): // the writer has the same CPU
			if err := r.readOnce(); err != nil {
				return err
			}
		}
	}
}

func (r *liveReader) readOnce() error {
	if _, err := r.Refresh(context.Background()); err != nil {
		return err
	}
	r.reads++
	if err := r.list(); err != nil {
		return err
	}
	got, err := r.read(frozen)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, r.frozen) {
		return errors.New("a snapshot that nobody writes to has changed")
	}
	// This one may be gone at any moment; until then it has a filesystem.
	got, err = r.read(r.last)
	if errors.Is(err, pdata.ErrNoDevice) || errors.Is(err, syscall.ENXIO) {
		return nil
	}
	if err == nil && (got[1080] != 0x53 || got[1081] != 0xef) {
		err = fmt.Errorf("device %d has lost its superblock", r.last)
	}
	return err
}

// list holds a listing against what there was at some moment.
func (r *liveReader) list() error {
	var ids []uint32
	for d, err := range r.Devices(context.Background()) {
		if err != nil {
			return fmt.Errorf("after %v: %w", ids, err)
		}
		ids = append(ids, d.ID)
	}
	n := len(ids)
	if n < 3 || n > 4 || ids[0] != origin || ids[1] != frozen || ids[2] < first || n == 4 && ids[3] != ids[2]+1 {
		return fmt.Errorf("the pool never had the devices %v", ids)
	}
	if ids[n-1] < r.last {
		return fmt.Errorf("the devices %v are older than %d, seen before", ids, r.last)
	}
	if ids[n-1] > r.last {
		r.seen.Add(1)
	}
	r.last = ids[n-1]
	return nil
}

func (r *liveReader) read(id uint32) ([]byte, error) {
	d, err := r.OpenDevice(context.Background(), id, volumeBytes, nil)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all := make([]byte, volumeBytes)
	if _, err := d.ReadAt(context.Background(), all, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return all, nil
}
