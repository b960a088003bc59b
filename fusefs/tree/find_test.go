package tree

import (
	"errors"
	"syscall"
	"testing"

	"thintree/meta"
)

func TestBeginningOfTwoNamesIsAmbiguous(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	for _, name := range []string{"layer", "@", "", "container:", "image:", "../info/box.json", "container:../volumes/box"} {
		if e, err := tree.Find(t.Context(), name); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%q is node %x, %v, want ENOENT", name, e.ID, err)
		}
	}
}

func TestImageOfAnUnmappedDeviceWithoutARecordIsEmpty(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "pool:/m,/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}}})
	e, err := tree.Walk(t.Context(), RootID, "raw/@3.img", true)
	if err != nil || e.Attr.Size != 0 {
		t.Errorf("%d bytes, %v, want none", e.Attr.Size, err)
	}
}
