package tree

import (
	"fmt"
	"testing"
	"time"

	"thintree/fusefs/volume"
	"thintree/meta"
)

func TestVolumesAreReadBeforeTheyAreLookedUpInOrder(t *testing.T) {
	t.Parallel()
	cat := meta.Catalog{Pools: []meta.Pool{smallPool(t)}}
	for i := range 2 * aheadCount {
		v := volumeRecord(fmt.Sprint("v", i), linksID)
		v.SizeBytes += int64(i) // another volume each
		cat.Volumes = append(cat.Volumes, v)
	}
	tree := newTree(t, &named{name: "docker:/d", cat: cat})
	listed := tree.layout.Load().Find("volumes").After(0)
	known := func(i int) bool { return tree.rootOf(listed[i].Volume).LastPeek() != nil }
	lookUp := func(i int) {
		if _, err := tree.Walk(t.Context(), RootID, "volumes/"+listed[i].Name, true); err != nil {
			t.Fatal(err)
		}
	}
	lookUp(0)
	lookUp(5)
	tree.ahead.busy.Wait()
	if known(1) || known(6) {
		t.Error("volumes are read after two lookups that are not in the order of a listing")
	}
	lookUp(6)
	for until := time.Now().Add(10 * time.Second); !known(6+aheadCount) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if !known(7) || !known(6+aheadCount) || known(7+aheadCount) || known(4) {
		t.Errorf("not the next %d volumes are read after two lookups in order", aheadCount)
	}
	if n := tree.layout.Load().Sections[0].Pools[0].(*volume.Pool).Opens(); n > 0 {
		t.Errorf("%d volumes were opened", n)
	}
}
