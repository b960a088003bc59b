package tree

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"thintree/meta"
	"thintree/thin/lend"
	"thintree/volfs"
)

// slowKernel lends nothing, but only says so when it is let.
type slowKernel struct {
	kernel
	once       sync.Once
	asked, let chan struct{}
}

func (k *slowKernel) Lend(context.Context, string, string, uint32, int64) (*os.File, func() error, error) {
	k.once.Do(func() { close(k.asked) })
	<-k.let
	return nil, nil, syscall.EIO
}

func TestRootIsListedWhileTheKernelMountsTheVolume(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	source := &named{name: "named", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{volumeRecord("v", linksID)}}}
	k := &slowKernel{kernel: kernel{users: map[uint32]lend.User{}}, asked: make(chan struct{}), let: make(chan struct{})}
	tree, err := New(t.Context(), []meta.Source{source}, Options{
		MaxActive: 1, OpenTimeout: time.Second, Engine: EngineKernel, Kernel: k, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	entries(t, tree, "volumes", 0)
	select {
	case <-k.asked:
		t.Error("looking at the list of volumes opens one")
	default:
	}

	want := entries(t, newTree(t, source), "volumes/v", 0)
	got := entries(t, tree, "volumes/v", 0)
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i, e := range got {
		if w := want[i]; e.Name != w.Name || e.Ino != w.Ino || e.Type != w.Type {
			t.Errorf("%v, want %v", e, w)
		}
		if rest := entries(t, tree, "volumes/v", e.Cookie); !slices.Equal(rest, got[i+1:]) {
			t.Errorf("after %s: %v", e.Name, rest)
		}
	}
	<-k.asked
	close(k.let)
	if _, err := tree.Walk(t.Context(), RootID, "volumes/v/rootfs/etc", true); !errors.Is(err, syscall.EIO) {
		t.Errorf("further on it is read by the kernel: %v", err)
	}
}

func TestRootListingGoesOnAsItBegan(t *testing.T) {
	t.Parallel()
	source := &named{name: "named", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("v", linksID)}}}
	r := newTree(t, source).view.Load().volumeAt("volumes/v").root
	const ofFilesystem = 396 // a place in a folder, or a hash
	if r.rootListing(0) != nil {
		t.Error("listed by what nobody has peeked")
	}
	entries := []volfs.DirEntry{{Name: "."}, {Name: ".."}, {Name: "file"}}
	old := &peek{live: true, fs: &fsPeek{entries: entries}}
	if old.valid(false) {
		t.Error("what was peeked while somebody could write holds for ever")
	}
	r.peeks.last.Store(old)
	if r.rootListing(0) != nil {
		t.Error("listed by what was peeked while somebody could write")
	}
	r.peeks.last.Store(&peek{fs: &fsPeek{entries: entries}})
	if l := r.rootListing(0); l == nil || len(l.entries) != len(entries) {
		t.Errorf("not listed by the peek: %v", l)
	}
	if r.rootListing(ofFilesystem) != nil {
		t.Error("what the filesystem has begun to list goes on by a peek")
	}
	for i := range entries {
		if r.rootListing(peekedCookie+uint64(i)+1) == nil {
			t.Errorf("what a peek has begun to list does not go on after entry %d", i)
		}
	}
}

func TestVolumesAreOpenedAheadOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 2, OpenTimeout: time.Minute, Idle: time.Hour})
		used := 0
		soon := func(v *volume) { b.soon(v, func(context.Context, *lease) { used++ }) }
		v := volumes(4)
		for _, v := range v[:3] {
			soon(v)
			soon(v)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if b.opens.Load() != 1 || used != 1 || !b.holds(v[0]) {
			t.Errorf("%d opens, %d uses", b.opens.Load(), used)
		}
		first, second := b.mustAcquire(t, v[0]), b.mustAcquire(t, v[1])
		soon(v[2]) // all are busy
		synctest.Wait()
		if b.holds(v[2]) {
			t.Error("it waits for its turn, and nobody has asked for it")
		}
		b.release(first)
		b.release(second)
		soon(v[3])
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !b.holds(v[3]) || used != 2 {
			t.Errorf("the idle one does not make room: %d uses", used)
		}
		b.shutdown()
		soon(v[0])
		synctest.Wait()
		if b.active.Load() != 0 {
			t.Errorf("%d are open after the end", b.active.Load())
		}
	})
}
