package tree

import (
	"fmt"
	"maps"
	"testing"

	"thintree/meta"
	"thintree/volfs"
)

// inodeNumbers walks a whole tree and gives the inode number of each path.
func inodeNumbers(t *testing.T, tree *Tree) map[string]uint64 {
	t.Helper()
	found := make(map[string]uint64)
	var walk func(path string, e Entry)
	walk = func(path string, e Entry) {
		found[path] = uint64(e.Attr.Ino)
		if e.Attr.Mode&0o170000 != 0o040000 {
			return
		}
		for _, d := range entries(t, tree, path, 0) {
			below, err := tree.Lookup(t.Context(), e.ID, d.Name)
			if err != nil {
				t.Fatalf("%s/%s: %v", path, d.Name, err)
			}
			if d.Ino != uint64(below.Attr.Ino) {
				t.Errorf("%s/%s: listed with inode number %d, has %d", path, d.Name, d.Ino, below.Attr.Ino)
			}
			walk(path+"/"+d.Name, below)
		}
	}
	for _, view := range []string{"volumes/a", "volumes/b", "raw", "by-id", "containers", "info", "pools"} {
		for _, folder := range append(names(t, tree, "/"), "") {
			path := join(folder, view)
			if e, err := tree.Walk(t.Context(), RootID, path, false); err == nil {
				walk(path, e)
			}
		}
	}
	return found
}

func TestInodeNumbersAreUniqueAndTheSameInTwoTrees(t *testing.T) {
	t.Parallel()
	cat := meta.Catalog{
		Pools:      []meta.Pool{smallPool(t)},
		Volumes:    []meta.Volume{volumeRecord("a", linksID), volumeRecord("b", partsID), volumeRecord("z", zerosID)},
		Containers: []meta.Container{{ID: "1", Name: "web", Volume: "a"}},
	}
	sources := func() []meta.Source {
		return []meta.Source{&named{name: "docker:/one", cat: cat}, &named{name: "docker:/two", cat: cat}}
	}
	one := newTree(t, sources()...)
	// What has been open, in what order, must not matter.
	for _, path := range []string{"docker-two/volumes/b/p1/rootfs", "docker-one/volumes/a/rootfs"} {
		if _, err := one.Walk(t.Context(), RootID, path, true); err != nil {
			t.Fatal(err)
		}
	}
	first := inodeNumbers(t, one)
	second := inodeNumbers(t, newTree(t, sources()...))
	if !maps.Equal(first, second) {
		t.Error("two trees of the same sources have other inode numbers")
	}
	if len(first) < 100 {
		t.Fatalf("only %d paths were walked", len(first))
	}
	paths := make(map[uint64]string)
	for path, ino := range first {
		if other, taken := paths[ino]; taken {
			t.Errorf("%s and %s have inode number %d", path, other, ino)
		}
		paths[ino] = path
	}
}

func TestVolumeThatComesLaterHasTheNumberOfTheNextTree(t *testing.T) {
	t.Parallel()
	s := &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}}}
	tree := newTree(t, s)
	s.change(func(s *named) { s.cat.Volumes = []meta.Volume{volumeRecord("late", linksID)} })
	look(t, tree)
	number := func(tree *Tree) uint64 {
		e, err := tree.Walk(t.Context(), RootID, "volumes/late/rootfs/etc/hostname", true)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(e.Attr.Ino)
	}
	if now, next := number(tree), number(newTree(t, s)); now != next {
		t.Errorf("inode number %d, and %d after a remount", now, next)
	}
}

func TestNodeIDsOfAVolumeThatIsGoneAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	s := &named{name: "pool:/m,/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID)}}}
	tree := newTree(t, s)
	seen := make(map[NodeID]bool)
	for i := range 5 {
		e, err := tree.Walk(t.Context(), RootID, "volumes/a", true)
		if err != nil {
			t.Fatal(err)
		}
		if seen[e.ID] {
			t.Fatalf("node id %x again", e.ID)
		}
		seen[e.ID] = true
		s.change(func(s *named) {
			v := volumeRecord("a", linksID)
			v.TransactionID = uint64(i + 1) // made anew
			s.cat.Volumes = []meta.Volume{v}
		})
		look(t, tree)
	}
}

func TestPartitionNumbersAreUnique(t *testing.T) {
	t.Parallel()
	tree := &Tree{}
	numbers := make(map[uint32]string)
	for device := range uint32(400) {
		v := &volume{identity: identity{pool: &pool{index: 0}, deviceID: device}}
		for part := 1; part <= 128; part++ {
			r := tree.partition(v, part)
			if again := tree.partition(v, part); again != r {
				t.Fatal("the same partition twice")
			}
			name := fmt.Sprintf("device %d p%d", device, part)
			if other, taken := numbers[r.number]; taken {
				t.Fatalf("%s and %s have number %d", name, other, r.number)
			}
			if r.number < 1<<30 || r.number >= 1<<31 {
				t.Fatalf("%s has number %d, which a volume could have", name, r.number)
			}
			numbers[r.number] = name
		}
	}
}

func TestVolumeNumbersOfManyPoolsDiffer(t *testing.T) {
	t.Parallel()
	taken := make(map[uint32]bool)
	for pool := range 63 {
		for _, device := range []uint32{0, 1, 1<<24 - 1} {
			n := volumeNumber(pool, device)
			if taken[n] || n >= hashedNumber {
				t.Fatalf("pool %d, device %d: number %#x", pool, device, n)
			}
			taken[n] = true
		}
	}
	if n := volumeNumber(63, 1); n&hashedNumber == 0 {
		t.Errorf("pool 63: number %#x, want a hashed one", n)
	}
}

func TestInodeNumberThatDoesNotFitIsAnError(t *testing.T) {
	t.Parallel()
	r := &fsRoot{vol: &volume{}, slot: 7}
	for _, ino := range []uint64{maxIno + 1, infoIno, partsIno, rawIno, 1 << 32, 1 << 40} {
		if id, err := r.fileID(volfs.Ino(ino), 2); err == nil {
			t.Errorf("inode %d: node %x", ino, id)
		}
	}
	id, err := r.fileID(2, 2)
	if err != nil || id != r.id(0) || !id.isFile() || id.slot() != 7 {
		t.Errorf("the root: node %x, %v", id, err)
	}
}
