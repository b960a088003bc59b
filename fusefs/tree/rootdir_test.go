package tree

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/thin/lend"
	"thintree/volfs"
)

// slowKernel lends nothing. Its Lend returns once refuse is closed.
type slowKernel struct {
	kernel
	once          sync.Once
	asked, refuse chan struct{}
}

func (k *slowKernel) Lend(context.Context, lend.Request) (*lend.Loan, error) {
	k.once.Do(func() { close(k.asked) })
	<-k.refuse
	return nil, syscall.EIO
}

func TestRootIsListedWhileTheKernelMountsTheVolume(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	source := &named{name: "named", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{volumeRecord("v", linksID)}}}
	k := &slowKernel{kernel: kernel{users: map[uint32]lend.User{}}, asked: make(chan struct{}), refuse: make(chan struct{})}
	tree, err := New(t.Context(), []meta.Source{source}, Options{
		MaxActive: 1, Options: volume.Options{OpenTimeout: time.Second, Engine: volume.EngineKernel, Kernel: k, Log: slog.New(slog.DiscardHandler)},
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
		t.Error("listing the volumes opens one")
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
	close(k.refuse)
	if _, err := tree.Walk(t.Context(), RootID, "volumes/v/rootfs/etc", true); !errors.Is(err, syscall.EIO) {
		t.Errorf("below the root: %v, want EIO, as the kernel reads it", err)
	}
}

func TestRootListingGoesOnAsItBegan(t *testing.T) {
	t.Parallel()
	source := &named{name: "named", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("v", linksID)}}}
	tree := newTree(t, source)
	r := tree.rootOf(tree.layout.Load().VolumeAt("volumes/v"))
	const ofFilesystem = 396 // a place in a folder, or a hash
	if r.rootListing(0) != nil {
		t.Error("there is a listing before any peek")
	}
	r.listing.Store(&rootListing{entries: []volfs.DirEntry{{Name: "."}, {Name: ".."}, {Name: "file"}}})
	if l := r.rootListing(0); l == nil {
		t.Error("a listing does not begin with the peek's entries")
	}
	if r.rootListing(ofFilesystem) != nil {
		t.Error("a listing that the filesystem began goes on with a peek's entries")
	}
	for i := range r.listing.Load().entries {
		if r.rootListing(peekedCookie+uint64(i)+1) == nil {
			t.Errorf("a listing of a peek's entries does not go on after entry %d", i)
		}
	}
}
