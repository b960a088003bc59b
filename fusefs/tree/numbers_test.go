package tree

import (
	"fmt"
	"slices"
	"testing"

	"thintree/meta"
)

func TestPoolThatIsAddedLaterChangesNoInodeNumbers(t *testing.T) {
	t.Parallel()
	pools := make([]meta.Pool, 4)
	for i := range pools {
		pools[i] = smallPool(t)
		pools[i].Name = fmt.Sprint("pool", i)
	}
	for _, first := range []int{1, 2, 3} {
		s := &named{name: "lvm:vg", cat: meta.Catalog{Pools: pools[:first]}}
		tree := newTree(t, s)
		before := numbersByPool(t, tree, pools[:first])
		s.change(func(s *named) { s.cat.Pools = []meta.Pool{pools[3], pools[2], pools[1], pools[0]} })
		look(t, tree)
		after := numbersByPool(t, tree, pools)
		if !slices.Equal(after[:first], before) {
			t.Errorf("inode numbers %d of %d pools, and %d since others were added", before, first, after)
		}
		next := numbersByPool(t, newTree(t, s), pools)
		if first == 1 {
			after[0], next[0] = 0, 0 // the next tree cannot know that this pool was once the only one
		}
		if !slices.Equal(next, after) {
			t.Errorf("inode numbers %d, and %d in the next tree", after, next)
		}
		slices.Sort(after)
		if len(slices.Compact(after)) != len(pools) {
			t.Errorf("pools share an inode number if %d were there first: %d", first, after)
		}
	}
}

// numbersByPool returns the inode number of device 1 of each pool.
func numbersByPool(t *testing.T, tree *Tree, pools []meta.Pool) (list []uint64) {
	t.Helper()
	for _, p := range pools {
		e, err := tree.Walk(t.Context(), RootID, "by-id/"+p.Name+"/1", true)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, uint64(e.Attr.Ino))
	}
	return list
}
