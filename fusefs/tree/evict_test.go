package tree

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/thin/block"
	"thintree/thin/lend"
)

func TestFileOfAnEvictedVolumeIsStale(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "a", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("links", linksID)},
	}})
	for _, path := range []string{"volumes/links/etc/hostname", "raw/links.img"} {
		e, err := tree.Walk(t.Context(), RootID, path, true)
		if err != nil {
			t.Fatal(err)
		}
		f, err := tree.Open(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(t.Context(), make([]byte, 4), 0); err != nil {
			t.Fatal(err)
		}
		if err := tree.Evict(t.Context(), "links", false); err != nil {
			t.Fatal(err)
		}
		_, readErr := f.ReadAt(t.Context(), make([]byte, 4), 0)
		_, seekErr := f.NextData(t.Context(), 0)
		if !errors.Is(readErr, syscall.ESTALE) || !errors.Is(seekErr, syscall.ESTALE) {
			t.Errorf("%s: read: %v, seek: %v", path, readErr, seekErr)
		}
		if f.PassThrough() {
			t.Errorf("%s: a stale file may be passed through", path)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// mappedKernel is a kernel with a loan that stays because a process has mapped a file on it.
type mappedKernel struct {
	kernel
	loan *lend.Loan
	id   uint32
}

func (k *mappedKernel) Lent(_ context.Context, _ block.Location, id uint32) ([]*lend.Loan, error) {
	if id != k.id {
		return nil, nil
	}
	return []*lend.Loan{k.loan}, nil
}

func TestMappedFilesOfAClosedVolumeAreEvictedLazilyOnly(t *testing.T) {
	t.Parallel()
	device, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	revoked := 0
	loan := lend.OfFile(device, func(context.Context) error { revoked++; return nil })
	k := &mappedKernel{loan: loan, id: linksID}
	tree, err := New(t.Context(), []meta.Source{&named{name: "a", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("links", linksID), volumeRecord("parts", partsID)},
	}}}, Options{MaxActive: 1, Options: volume.Options{Kernel: k, Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	if err := tree.Evict(t.Context(), "parts", true); err != nil || revoked > 0 {
		t.Errorf("another volume: %v, revoked %d times", err, revoked)
	}
	var mapped *volume.MappedError
	if err := tree.Evict(t.Context(), "links", false); !errors.As(err, &mapped) || !errors.Is(err, syscall.EBUSY) || revoked > 0 {
		t.Errorf("%v, revoked %d times", err, revoked)
	}
	if err := tree.Evict(t.Context(), "links", true); err != nil || revoked != 1 {
		t.Errorf("lazily: %v, revoked %d times", err, revoked)
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
		{two, "group/links", false}, // both have it
		{two, two.keeper.sources[1].folder + "/group/links", true},
		{two, two.keeper.sources[1].folder + "/volumes/group/links", true},
		{two, two.keeper.sources[1].folder + "/containers/web", true},
		{one, "", false},
		{one, "group", false},
		{one, "group/li", false},
		{one, "volumes", false},
		{one, "volumes/group", false},
		{one, "@7", false},
		{one, "pools/pool.json", false},
		{one, "../volumes/nothing", false},
	} {
		v, err := test.tree.named(t.Context(), test.name)
		if ok := err == nil && v.Record.DeviceID == linksID; ok != test.ok {
			t.Errorf("%q: found %v, %v", test.name, v != nil, err)
		}
	}
	if err := one.Evict(t.Context(), "nothing", false); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v", err)
	}
}
