package tree

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"thintree/meta"
)

// openIn opens a file in a volume of a bench. Its bytes tell when they are closed.
func (b *bench) openIn(t *testing.T, v *volume) (*File, *atomic.Bool) {
	t.Helper()
	closed := new(atomic.Bool)
	f := &File{tree: &Tree{leases: b.leases}, lease: b.mustAcquire(t, v), bytes: closer{textFile{strings.NewReader("text")}, closed}}
	if !b.hold(f) {
		t.Fatal("the volume is being closed")
	}
	return f, closed
}

type closer struct {
	textFile
	closed *atomic.Bool
}

func (c closer) Close() error {
	c.closed.Store(true)
	return nil
}

func (b *bench) evictAll(t *testing.T, lazy bool) error {
	t.Helper()
	var errs []error
	for _, l := range b.of(func(*volume) bool { return true }) {
		errs = append(errs, b.evict(t.Context(), l, lazy))
	}
	return errors.Join(errs...)
}

func TestEvictedVolumeIsClosedNow(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T, *bench, *volume){
		"idle":       func(t *testing.T, b *bench, v *volume) { b.release(b.mustAcquire(t, v)) },
		"with files": func(t *testing.T, b *bench, v *volume) { b.openIn(t, v); b.openIn(t, v) },
		"about to open": func(t *testing.T, b *bench, v *volume) {
			go func() {
				if l, err := b.acquire(t.Context(), v); err == nil {
					b.release(l)
				}
			}()
		},
		"in use for a while": func(t *testing.T, b *bench, v *volume) {
			l := b.mustAcquire(t, v)
			time.AfterFunc(time.Minute, func() { b.release(l) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
				v := volumes(1)[0]
				prepare(t, b, v)
				synctest.Wait()
				if err := b.evictAll(t, false); err != nil {
					t.Fatal(err)
				}
				if b.active.Load() != 0 || b.slots != 0 {
					t.Errorf("%d volumes are open, %d slots taken", b.active.Load(), b.slots)
				}
				b.release(b.mustAcquire(t, v))
				if n := b.opens.Load(); n != 2 {
					t.Errorf("opened %d times, want once more", n)
				}
				b.shutdown()
			})
		})
	}
}

func TestFileOfAnEvictedVolumeIsStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
		f, closed := b.openIn(t, volumes(1)[0])
		if _, err := f.ReadAt(t.Context(), make([]byte, 4), 0); err != nil {
			t.Fatal(err)
		}
		if err := b.evictAll(t, false); err != nil || !closed.Load() {
			t.Fatalf("closed: %v, %v", closed.Load(), err)
		}
		_, readErr := f.ReadAt(t.Context(), make([]byte, 4), 0)
		_, seekErr := f.NextData(t.Context(), 0)
		if !errors.Is(readErr, syscall.ESTALE) || !errors.Is(seekErr, syscall.ESTALE) {
			t.Errorf("read: %v, seek: %v", readErr, seekErr)
		}
		if f.Pass() {
			t.Error("the kernel may read it past the tree")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if b.slots != 0 {
			t.Errorf("%d slots are taken", b.slots)
		}
	})
}

func TestVolumeWithAPassedFileIsEvictedLazilyOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(1)[0]
		passed, _ := b.openIn(t, v)
		other, otherClosed := b.openIn(t, v)
		if !passed.Pass() {
			t.Fatal("it may not be passed")
		}
		var busy *BusyError
		if err := b.evictAll(t, false); !errors.As(err, &busy) || busy.Files != 1 || !errors.Is(err, syscall.EBUSY) || otherClosed.Load() {
			t.Fatalf("%v, the other file is closed: %v", err, otherClosed.Load())
		}
		if err := b.evictAll(t, true); err != nil || b.active.Load() != 0 {
			t.Fatalf("%d volumes are open, %v", b.active.Load(), err)
		}
		if err := errors.Join(passed.Close(), other.Close()); err != nil {
			t.Error(err)
		}
	})
}

// mappedKernel has lent a device that somebody has a file of mapped.
type mappedKernel struct {
	kernel
	revoked []string
}

func (k *mappedKernel) Lent(_ context.Context, _ string, id uint32) ([]string, error) {
	if id != linksID || len(k.revoked) > 0 {
		return nil, nil
	}
	return []string{"lent"}, nil
}

func (k *mappedKernel) Revoke(_ context.Context, name string) error {
	k.revoked = append(k.revoked, name)
	return nil
}

func TestMappedFilesOfAClosedVolumeAreEvictedLazilyOnly(t *testing.T) {
	t.Parallel()
	k := &mappedKernel{}
	tree, err := New(t.Context(), []meta.Source{&named{name: "a", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("links", linksID), volumeRecord("parts", partsID)},
	}}}, Options{MaxActive: 1, Kernel: k, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	if err := tree.Evict(t.Context(), "parts", true); err != nil || len(k.revoked) > 0 {
		t.Errorf("another volume: %v, revoked %v", err, k.revoked)
	}
	var busy *BusyError
	if err := tree.Evict(t.Context(), "links", false); !errors.As(err, &busy) || busy.Files != 0 || len(k.revoked) > 0 {
		t.Errorf("%v, revoked %v", err, k.revoked)
	}
	for range 2 {
		if err := tree.Evict(t.Context(), "links", true); err != nil || !slices.Equal(k.revoked, []string{"lent"}) {
			t.Errorf("lazily: %v, revoked %v", err, k.revoked)
		}
	}
}

func TestClosedVolumeIsNotOpenedToEvictIt(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "a", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("links", linksID)},
	}})
	if err := tree.Evict(t.Context(), "links", false); err != nil {
		t.Error(err)
	}
	if p := tree.Pools(t.Context())[0]; p.OpensTotal != 0 {
		t.Errorf("opened %d times", p.OpensTotal)
	}
}

func TestEvictFindsVolumesByNameAndPath(t *testing.T) {
	t.Parallel()
	links := volumeRecord("group/links", linksID)
	links.Root = "rootfs"
	source := func(name string) *named {
		return &named{name: name, cat: meta.Catalog{
			Pools:      []meta.Pool{smallPool(t)},
			Volumes:    []meta.Volume{links, volumeRecord("parts", partsID)},
			Containers: []meta.Container{{ID: "0123456789abcdef", Name: "web", Volume: "group/links"}},
		}}
	}
	one, two := newTree(t, source("a")), newTree(t, source("kind:a"), source("kind:b"))
	for _, test := range []struct {
		tree *Tree
		name string
		ok   bool
	}{
		{one, "group/links", true},
		{one, "@1", true},
		{one, "container:web", true},
		{one, "volumes/group/links", true},
		{one, "/volumes//group/links/", true},
		{one, "volumes/group/links/rootfs/etc", true},
		{one, "containers/web", true},
		{one, "by-id/pool/1", true},
		{one, "raw/group/links.img", true},
		{two, "group/links", true},
		{two, two.sources[1].folder + "/volumes/group/links", true},
		{two, two.sources[1].folder + "/containers/web", true},
		{one, "", false},
		{one, "group", false},
		{one, "group/li", false},
		{one, "volumes", false},
		{one, "volumes/group", false},
		{one, "@7", false},
		{one, "pools/pool.json", false},
		{one, "../volumes/nothing", false},
	} {
		v := test.tree.named(t.Context(), test.name)
		if ok := v != nil && v.deviceID == linksID; ok != test.ok {
			t.Errorf("%q: found %v", test.name, v != nil)
		}
	}
	if err := one.Evict(t.Context(), "nothing", false); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v", err)
	}
}

func TestFileIsNotClosedWhileItIsRead(t *testing.T) {
	t.Parallel()
	closed := new(atomic.Bool)
	s := slow{closer{textFile{strings.NewReader("text")}, closed}, make(chan struct{}), make(chan struct{})}
	f := &File{bytes: s}
	read := make(chan error)
	go func() {
		_, err := f.ReadAt(t.Context(), make([]byte, 4), 0)
		read <- err
	}()
	<-s.begun
	cut := make(chan error)
	go func() { cut <- f.close() }()
	select {
	case <-cut:
		t.Error("it is")
	case <-time.After(10 * time.Millisecond):
	}
	close(s.goOn)
	if err := errors.Join(<-read, <-cut); err != nil || !closed.Load() {
		t.Errorf("closed: %v, %v", closed.Load(), err)
	}
}

// slow is a file of which a read takes until it may go on.
type slow struct {
	closer
	begun, goOn chan struct{}
}

func (s slow) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	close(s.begun)
	<-s.goOn
	return s.closer.ReadAt(ctx, p, off)
}
