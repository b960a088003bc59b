package tree

import (
	"maps"
	"testing"

	"thintree/fusefs/layout"
	"thintree/meta"
)

// inodeNumbers walks through a whole tree and returns the inode number of each path.
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
			path := layout.Join(folder, view)
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
	// The numbers must not depend on which volumes were open, or in which order.
	for _, path := range []string{"docker-two/volumes/b/p1/rootfs", "docker-one/volumes/a/rootfs"} {
		if _, err := one.Walk(t.Context(), RootID, path, true); err != nil {
			t.Fatal(err)
		}
	}
	first := inodeNumbers(t, one)
	second := inodeNumbers(t, newTree(t, sources()...))
	if !maps.Equal(first, second) {
		t.Error("two trees of the same sources have different inode numbers")
	}
	if len(first) < 100 {
		t.Fatalf("only %d paths were walked", len(first))
	}
	paths := make(map[uint64]string)
	for path, ino := range first {
		if ino >= 1<<53 {
			t.Errorf("%s has inode number %d, which a double cannot hold", path, ino)
		}
		if other, taken := paths[ino]; taken {
			t.Errorf("%s and %s have inode number %d", path, other, ino)
		}
		paths[ino] = path
	}
}

func TestInodeNumbersDoNotDependOnTheOrderOfTheSources(t *testing.T) {
	t.Parallel()
	cat := meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID), volumeRecord("b", partsID)}}
	one, two := &named{name: "docker:/one", cat: cat}, &named{name: "docker:/two", cat: cat}
	if !maps.Equal(inodeNumbers(t, newTree(t, one, two)), inodeNumbers(t, newTree(t, two, one))) {
		t.Error("the same sources in another order have different inode numbers")
	}
}

func TestInodeNumbersOfNamesOfOneDeviceDiffer(t *testing.T) {
	t.Parallel()
	s := &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("b", linksID), volumeRecord("c", linksID)},
	}}
	tree := newTree(t, s)
	before := inodeNumbers(t, tree)
	s.change(func(s *named) { s.cat.Volumes = append(s.cat.Volumes, volumeRecord("a", linksID)) })
	look(t, tree)
	after := inodeNumbers(t, tree)
	paths := make(map[uint64]string)
	for path, ino := range after {
		if other, taken := paths[ino]; taken {
			t.Errorf("%s and %s have inode number %d", path, other, ino)
		}
		paths[ino] = path
		if ino >= 1<<53 {
			t.Errorf("%s has inode number %d, which a double cannot hold", path, ino)
		}
		if was, ok := before[path]; ok && was != ino {
			t.Errorf("%s had inode number %d, and has %d since another name was added", path, was, ino)
		}
	}
}

func TestVolumeThatIsAddedLaterKeepsItsInodeNumberInTheNextTree(t *testing.T) {
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
			t.Fatalf("node id %x was used again", e.ID)
		}
		seen[e.ID] = true
		s.change(func(s *named) {
			v := volumeRecord("a", linksID)
			v.TransactionID = uint64(i + 1) // another volume
			s.cat.Volumes = []meta.Volume{v}
		})
		look(t, tree)
	}
}
