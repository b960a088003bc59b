package tree

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"thintree/meta"
)

// inState returns the record v with a state.
func inState(v meta.Volume, s meta.State) meta.Volume {
	v.State = s
	return v
}

// deletedTree is a tree with three deleted volumes: one that is still whole, one with no
// mappings, and one without a device.
func deletedTree(t *testing.T) *Tree {
	t.Helper()
	whole := inState(volumeRecord("whole", linksID), meta.StateDeleted)
	whole.Root = "rootfs"
	return newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)},
		Volumes: []meta.Volume{
			whole, volumeRecord("kept", partsID),
			inState(volumeRecord("gone", zerosID), meta.StateDeleted),
			inState(volumeRecord("missing", 77), meta.StateDeleted),
		},
		Containers: []meta.Container{{ID: "1", Name: "web", Volume: "whole"}, {ID: "2", Name: "db", Volume: "kept"}},
		Images:     []meta.Image{{ID: "3", Names: []string{"i:1"}, Volume: "gone"}},
	}})
}

func TestDeletedVolumeHasNoFolderOfFiles(t *testing.T) {
	t.Parallel()
	tree := deletedTree(t)
	for dir, want := range map[string][]string{
		"volumes": {"kept"}, "raw": {"kept.img", "kept.parts"}, "by-id/pool": {"1", "2", "3"},
		"info": {"gone.json", "kept.json", "missing.json", "whole.json"}, "containers": {"db", "web"}, "images": {"i:1"},
	} {
		got := names(t, tree, dir)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s lists %q, want %q", dir, got, want)
		}
	}
	for path, want := range map[string]string{
		"by-id/pool/1": "../../info/whole.json", "by-id/pool/2": "../../volumes/kept", "by-id/pool/3": "../../info/gone.json",
		"containers/web": "../info/whole.json", "images/i:1": "../info/gone.json",
	} {
		e, err := tree.Walk(t.Context(), RootID, path, false)
		if err != nil {
			t.Fatal(err)
		}
		if target, err := tree.Readlink(t.Context(), e.ID); err != nil || target != want {
			t.Errorf("%s leads to %s, %v, want %s", path, target, err, want)
		}
		if _, err := tree.Walk(t.Context(), RootID, path, true); err != nil {
			t.Errorf("%s dangles: %v", path, err)
		}
	}
}

func TestWalkThroughTheTreeFindsNoErrorsOfDeletedVolumes(t *testing.T) {
	t.Parallel()
	tree := deletedTree(t)
	var walk func(path string)
	walk = func(path string) {
		got, err := listed(t, tree, path)
		if err != nil && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) && !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%s: %v", path, err)
		}
		for _, name := range got {
			if e, err := tree.Walk(t.Context(), RootID, path+"/"+name, false); err != nil {
				t.Errorf("%s/%s: %v", path, name, err)
			} else if e.Attr.Mode&syscall.S_IFMT == syscall.S_IFDIR {
				walk(path + "/" + name)
			}
		}
	}
	walk("")
	if list := tree.Warnings(); len(list) > 0 {
		t.Errorf("warnings %q", list)
	}
}

func TestInfoMarksDeletedVolumes(t *testing.T) {
	t.Parallel()
	tree := deletedTree(t)
	for _, name := range []string{"whole", "gone", "missing"} {
		var v VolumeInfo
		readJSON(t, tree, "info/"+name+".json", &v)
		if v.State != meta.StateDeleted || v.Problem != "" {
			t.Errorf("%s: state %q, problem %q, want it deleted, and no problem", name, v.State, v.Problem)
		}
		if name == "whole" && !slices.Equal(v.Containers, []string{"web"}) {
			t.Errorf("containers %q", v.Containers)
		}
	}
	for _, r := range tree.Volumes(t.Context()) {
		if r.Deleted != (r.Name != "kept") {
			t.Errorf("%s: deleted %v", r.Name, r.Deleted)
		}
	}
}

func TestDeletedVolumeIsFoundByName(t *testing.T) {
	t.Parallel()
	tree := deletedTree(t)
	for _, name := range []string{"whole", "wh", "@1", "container:web"} {
		e, err := tree.Find(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e, err = tree.Walk(t.Context(), e.ID, "/", true); err != nil || e.Attr.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			t.Errorf("%s is no folder: %v", name, err)
		}
		if v, err := tree.Volume(t.Context(), e.ID); err != nil || v.Name != "whole" {
			t.Errorf("%s is volume %s, %v", name, v.Name, err)
		}
		if _, err := tree.Lookup(t.Context(), e.ID, "etc"); err != nil {
			t.Errorf("%s: etc: %v", name, err)
		}
	}
	e, err := tree.Find(t.Context(), "gone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Lookup(t.Context(), e.ID, "etc"); err == nil || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("gone: %v, want an error that says that it is deleted", err)
	}
}

func TestVolumeLosesItsFolderWhenItIsDeleted(t *testing.T) {
	t.Parallel()
	s := &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID)}}}
	tree := newTree(t, s)
	names(t, tree, "volumes/a")
	s.change(func(s *named) {
		s.cat.Volumes = []meta.Volume{inState(volumeRecord("a", linksID), meta.StateDeleted)}
	})
	look(t, tree)
	if _, err := tree.Walk(t.Context(), RootID, "volumes/a", true); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("volumes/a: %v, want ENOENT", err)
	}
	if _, err := tree.Walk(t.Context(), RootID, "info/a.json", true); err != nil {
		t.Error(err)
	}
}

// TestHalfMadeVolumeIsShown: a volume whose creation was not recorded as finished may be
// complete all the same.
func TestHalfMadeVolumeIsShown(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{inState(volumeRecord("half", linksID), meta.StateHalf)},
	}})
	if got := names(t, tree, "volumes/half"); !slices.Contains(got, "rootfs") {
		t.Errorf("volumes/half lists %q", got)
	}
}
