package tree

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"thintree/fusefs/layout"
	"thintree/meta"
)

func TestImageNamedLikeAFolderGetsAnotherName(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools:   []meta.Pool{smallPool(t)},
		Volumes: []meta.Volume{volumeRecord("a", linksID), volumeRecord("b", partsID)},
		Images: []meta.Image{
			{ID: "sha256:aaaaaaaaaaaabbbb", Names: []string{"x:5000"}, Volume: "a"},
			{ID: "sha256:ccccccccccccdddd", Names: []string{"x:5000/y:1"}, Volume: "b"},
		},
	}})
	if got, want := names(t, tree, "images/x:5000"), []string{"y:1"}; !slices.Equal(got, want) {
		t.Errorf("images/x:5000 lists %q, want %q", got, want)
	}
	if id := deviceAt(t, tree, "images/x:5000/y:1"); id != partsID {
		t.Errorf("images/x:5000/y:1 leads to device %d, want %d", id, partsID)
	}
	if id := deviceAt(t, tree, "images/x:5000@aaaaaaaaaaaa"); id != linksID {
		t.Errorf("images/x:5000@aaaaaaaaaaaa leads to device %d, want %d", id, linksID)
	}
}

func TestTwoContainersWithOneNameAreBothShown(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools:   []meta.Pool{smallPool(t)},
		Volumes: []meta.Volume{volumeRecord("a", linksID), volumeRecord("b", partsID)},
		Containers: []meta.Container{
			{ID: "1111111111111", Name: "web", Volume: "a"},
			{ID: "2222222222222", Name: "web", Volume: "b"},
		},
	}})
	got := names(t, tree, "containers")
	slices.Sort(got)
	if want := []string{"web", "web@222222222222"}; !slices.Equal(got, want) {
		t.Fatalf("containers lists %q, want %q", got, want)
	}
	for path, id := range map[string]uint32{"containers/web": linksID, "containers/web@222222222222": partsID} {
		if got := deviceAt(t, tree, path); got != id {
			t.Errorf("%s leads to device %d, want %d", path, got, id)
		}
	}
}

func TestNameThatCannotBeAPathIsEscaped(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"..", ".", "/a", "a/", "a//b", "a/../../b", "nul\x00", strings.Repeat("n", 256)} {
		tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
			Pools:      []meta.Pool{smallPool(t)},
			Volumes:    []meta.Volume{volumeRecord("a", linksID), volumeRecord("bad//"+name, zerosID)},
			Containers: []meta.Container{{ID: "1234567890abcdef", Name: name, Volume: "a"}},
		}})
		if id := deviceAt(t, tree, "containers/"+layout.Escape(name)); id != linksID {
			t.Errorf("%q: its container leads to device %d, want %d", name, id, linksID)
		}
		if id := deviceAt(t, tree, "volumes/"+layout.Escape("bad//"+name)); id != zerosID {
			t.Errorf("%q: its volume leads to device %d, want %d", name, id, zerosID)
		}
		if id := deviceAt(t, tree, "by-id/pool/3"); id != zerosID {
			t.Errorf("%q: by-id/pool/3 leads to device %d, want %d", name, id, zerosID)
		}
	}
}

func TestEveryIDIsReachable(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "pool:/m,/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)},
		// A name that looks like the one of an id without a name.
		Volumes: []meta.Volume{volumeRecord("@2", linksID)},
	}})
	for path, id := range map[string]uint32{
		"by-id/pool/1": linksID, "by-id/pool/2": partsID, "by-id/pool/3": zerosID,
		"volumes/@2": linksID, "volumes/@2@2": partsID, "volumes/@3": zerosID,
	} {
		if got := deviceAt(t, tree, path); got != id {
			t.Errorf("%s leads to device %d, want %d", path, got, id)
		}
	}
}

func TestTwoNamesOfOneDeviceAreBothShown(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "pool:/m,/d", cat: meta.Catalog{
		Pools:   []meta.Pool{smallPool(t)},
		Volumes: []meta.Volume{volumeRecord("a", linksID), volumeRecord("b", linksID)},
	}})
	for _, path := range []string{"volumes/a", "volumes/b", "by-id/pool/1"} {
		if id := deviceAt(t, tree, path); id != linksID {
			t.Errorf("%s leads to device %d, want %d", path, id, linksID)
		}
		if got := names(t, tree, path); !slices.Contains(got, "rootfs") {
			t.Errorf("%s lists %q", path, got)
		}
	}
}

func TestNameOfADeviceThatThePoolDoesNotHaveIsAnError(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "pool:/m,/d", cat: meta.Catalog{
		Pools:   []meta.Pool{smallPool(t)},
		Volumes: []meta.Volume{volumeRecord("lost", 99)},
	}})
	e, err := tree.Walk(t.Context(), RootID, "volumes/lost", true)
	if err != nil {
		t.Fatalf("it is not in the tree: %v", err)
	}
	if d, err := tree.OpenDir(t.Context(), e.ID, 0); err == nil {
		d.Close()
		t.Error("volumes/lost can be listed")
	}
	v, err := tree.Volume(t.Context(), e.ID)
	if err != nil || v.Problem == "" {
		t.Errorf("info says %q, %v, want a problem", v.Problem, err)
	}
}

func TestSeveralSourcesHaveFoldersOfTheirOwn(t *testing.T) {
	t.Parallel()
	cat := meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID)}}
	tree := newTree(t, &named{name: "docker:/one/docker", cat: cat}, &named{name: "docker:/two/docker", cat: cat}, &named{name: "pool:/m/meta,/m/data", cat: cat})
	got := names(t, tree, "/")
	slices.Sort(got)
	if want := []string{"docker-docker-1", "docker-docker-2", "pool-meta"}; !slices.Equal(got, want) {
		t.Fatalf("the root lists %q, want %q", got, want)
	}
	for _, folder := range got {
		if id := deviceAt(t, tree, folder+"/by-id/pool/1"); id != linksID {
			t.Errorf("%s/by-id/pool/1 leads to device %d", folder, id)
		}
	}
}

func TestSeveralPoolsOfASource(t *testing.T) {
	t.Parallel()
	one, two := smallPool(t), smallPool(t)
	one.Name, two.Name = "vg/one", "vg/two"
	a, b := volumeRecord("vg/a", linksID), volumeRecord("vg/b", partsID)
	a.Pool, b.Pool = one.Name, two.Name
	tree := newTree(t, &named{name: "lvm:/dev/sda", cat: meta.Catalog{Pools: []meta.Pool{one, two}, Volumes: []meta.Volume{a, b}}})
	for path, id := range map[string]uint32{
		"by-id/vg/one/1": linksID, "by-id/vg/two/2": partsID, "by-id/vg/one/2": partsID, "volumes/vg/a": linksID, "volumes/vg/b": partsID,
	} {
		if got := deviceAt(t, tree, path); got != id {
			t.Errorf("%s leads to device %d, want %d", path, got, id)
		}
	}
	if got := names(t, tree, "pools/vg"); len(got) != 2 {
		t.Errorf("pools/vg lists %q", got)
	}
}

func TestListingGoesOnAfterTheFolderChanged(t *testing.T) {
	t.Parallel()
	s := &named{name: "pool:/m,/d", cat: meta.Catalog{
		Pools:   []meta.Pool{smallPool(t)},
		Volumes: []meta.Volume{volumeRecord("a", linksID)},
	}}
	containers := func(names ...string) (list []meta.Container) {
		for _, n := range names {
			list = append(list, meta.Container{ID: "id-" + n, Name: n, Volume: "a"})
		}
		return list
	}
	s.cat.Containers = containers("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")
	tree := newTree(t, s)
	before := entries(t, tree, "containers", 0)
	half := len(before) / 2
	gone := before[half].Name
	var left []string
	for _, e := range before {
		if e.Name != gone {
			left = append(left, e.Name)
		}
	}
	s.change(func(s *named) { s.cat.Containers = containers(append(left, "new1", "new2", "new3")...) })
	look(t, tree)
	seen := make(map[string]int)
	for _, e := range before[:half] {
		seen[e.Name]++
	}
	for _, e := range entries(t, tree, "containers", before[half-1].Cookie) {
		seen[e.Name]++
	}
	for _, name := range left {
		if seen[name] != 1 {
			t.Errorf("%s was listed %d times", name, seen[name])
		}
	}
	if seen[gone] != 0 {
		t.Errorf("%s is listed though it is gone", gone)
	}
}

func TestChangesOfASourceAreShown(t *testing.T) {
	t.Parallel()
	s := &named{name: "pool:/m,/d", cat: meta.Catalog{
		Pools:      []meta.Pool{smallPool(t)},
		Volumes:    []meta.Volume{volumeRecord("a", linksID), volumeRecord("b", partsID)},
		Containers: []meta.Container{{ID: "1", Name: "web", Volume: "a"}},
	}}
	tree := newTree(t, s)
	old, err := tree.Walk(t.Context(), RootID, "volumes/a", true)
	if err != nil {
		t.Fatal(err)
	}
	s.change(func(s *named) {
		s.cat.Volumes = []meta.Volume{volumeRecord("b", partsID)}
		s.cat.Containers = []meta.Container{{ID: "2", Name: "web", Volume: "b"}}
	})
	look(t, tree)
	if id := deviceAt(t, tree, "containers/web"); id != partsID {
		t.Errorf("containers/web leads to device %d, want %d", id, partsID)
	}
	if _, err := tree.Walk(t.Context(), RootID, "volumes/a", true); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("volumes/a: %v, want ENOENT", err)
	}
	if _, err := tree.Lookup(t.Context(), old.ID, "rootfs"); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("in the old volumes/a: %v, want ESTALE", err)
	}
}

func TestVolumeWhoseRecordChangesStaysTheSame(t *testing.T) {
	t.Parallel()
	s := &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID)}}}
	tree := newTree(t, s)
	before, err := tree.Walk(t.Context(), RootID, "volumes/a", true)
	if err != nil {
		t.Fatal(err)
	}
	s.change(func(s *named) {
		v := volumeRecord("a", linksID)
		v.State, v.Parent = meta.StateHalf, "base"
		s.cat.Volumes = []meta.Volume{v}
	})
	look(t, tree)
	after, err := tree.Walk(t.Context(), RootID, "volumes/a", true)
	if err != nil {
		t.Fatal(err)
	}
	if after.ID != before.ID || after.Attr.Ino != before.Attr.Ino {
		t.Errorf("the volume is node %x, inode %d, was node %x, inode %d", after.ID, after.Attr.Ino, before.ID, before.Attr.Ino)
	}
	if v, err := tree.Volume(t.Context(), after.ID); err != nil || v.State != meta.StateHalf {
		t.Errorf("info says %q, %v, want %q", v.State, err, meta.StateHalf)
	}
}

func TestSourceThatFailsDoesNotHideChangesOfAnother(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	one := &named{name: "docker:/one", cat: meta.Catalog{Pools: []meta.Pool{pool}}}
	two := &named{name: "docker:/two", cat: meta.Catalog{Pools: []meta.Pool{pool}}}
	tree := newTree(t, one, two)
	one.change(func(s *named) { s.cat.Volumes = []meta.Volume{volumeRecord("new", linksID)} })
	two.change(func(s *named) { s.err = syscall.EIO })
	err := lookFor(t, tree)
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("%v, want the error of the second source", err)
	}
	if tree.current(t.Context()).Find("docker-one/volumes/new") == nil {
		t.Error("the new volume of the readable source is not shown")
	}
	if tree.layout.Load().Find("docker-two/volumes/@1") == nil {
		t.Error("the last known state of the unreadable source is gone")
	}
}
