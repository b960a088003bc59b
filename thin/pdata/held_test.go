package pdata

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHeldRoot(t *testing.T) {
	t.Parallel()
	specs, _ := twoStates()
	specs[0].held = true
	held := build(specs[0])
	// Afterwards device 1 is deleted from the pool.
	held.edit(0, func(p []byte) { le.PutUint64(p[320:], emptyLeaf(held)) })
	for _, live := range []bool{false, true} {
		m := held.open(t, Options{HeldRoot: true, Live: live})
		if diff := cmp.Diff(specs[0].devices[0].mappings, readRuns(t, m, 1)); diff != "" {
			t.Error(diff)
		}
		if s := m.Superblock(); s.DataSpaceMapRoot.NrBlocks != 900 {
			t.Errorf("%+v", s)
		}
		if _, err := m.DataSpaceMap().RefCount(t.Context(), 1); !errors.Is(err, ErrNoSpaceMap) {
			t.Error(err)
		}
	}
	if _, err := held.open(t, Options{}).Mappings(t.Context(), 1); !errors.Is(err, ErrNoDevice) {
		t.Error(err)
	}
}

// emptyLeaf writes an empty leaf for values of 8 bytes into a free block.
func emptyLeaf(im *image) uint64 {
	block := im.super.MetadataSpaceMapRoot.NrAllocated
	p := im.block(block)
	for i, v := range []uint32{flagLeaf, uint32(block), 0, 0, 252, 8} {
		le.PutUint32(p[4+4*i:], v)
	}
	le.PutUint32(p, sum(p, saltNode))
	return block
}

func TestNoHeldRoot(t *testing.T) {
	t.Parallel()
	im := build(poolSpec{})
	if _, err := Open(t.Context(), im, int64(len(im.p)), Options{HeldRoot: true, Live: true}); !errors.Is(err, ErrNoHeldRoot) {
		t.Error(err)
	}
}

func TestHeldRootOutlivesThePoolsChanges(t *testing.T) {
	t.Parallel()
	specs, _ := twoStates()
	specs[0].held = true
	im := build(specs[0])
	m := im.open(t, Options{HeldRoot: true, Live: true})
	d := openDevice(t, m, 1)
	im.edit(0, func(p []byte) { le.PutUint64(p[48:], 99) })
	if changed, err := m.Refresh(t.Context()); changed || err != nil {
		t.Error(changed, err)
	}
	if tid := m.Superblock().TransactionID; tid != 99 {
		t.Error(tid)
	}
	im.edit(0, func(p []byte) { le.PutUint64(p[56:], 0) })
	if r, err := d.Run(t.Context(), 0, 1); !errors.Is(err, ErrNoHeldRoot) {
		t.Error("read though it was released: ", r, err)
	}
}
