package tree

import (
	"testing"

	"thintree/fusefs/layout"
	"thintree/meta"
)

func TestEveryEntryHasAValidFileName(t *testing.T) {
	t.Parallel()
	cat := meta.Catalog{Pools: []meta.Pool{smallPool(t)}}
	for i, name := range []string{"", ".", "..", "a/", "a/.."} {
		v := volumeRecord(name, zerosID)
		v.SizeBytes += int64(i) // another volume each
		cat.Volumes = append(cat.Volumes, v)
	}
	cat.Volumes = append(cat.Volumes, volumeRecord("a", linksID))
	for _, id := range []string{"", "x:", "x:..", "x:.", "a/b", "x:a/../.."} {
		cat.Containers = append(cat.Containers, meta.Container{ID: id, Volume: "a"})
		cat.Images = append(cat.Images, meta.Image{ID: id, Volume: "a"})
	}
	tree := newTree(t, &named{name: "docker:/d", cat: cat})
	var check func(n *layout.Node)
	check = func(n *layout.Node) {
		for _, e := range n.After(0) {
			if e.Name == "" || e.Name == "." || e.Name == ".." || len(e.Name) > 255 {
				t.Errorf("%s has an entry named %q", n.Path(), e.Name)
			}
			check(e)
		}
	}
	check(tree.layout.Load().Root)
	if id := deviceAt(t, tree, "by-id/pool/3"); id != zerosID {
		t.Errorf("by-id/pool/3 leads to device %d, want %d", id, zerosID)
	}
}

// TestVolumeNamedLikeAFolderGetsItsIDAppended: the folder keeps its name.
func TestVolumeNamedLikeAFolderGetsItsIDAppended(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "pool:/m,/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)},
		Volumes: []meta.Volume{
			volumeRecord("vg", linksID), volumeRecord("vg/root", partsID), volumeRecord("vg/root.img/deep", zerosID),
		},
	}})
	for path, want := range map[string]uint32{
		"volumes/vg@1": linksID, "volumes/vg/root": partsID, "volumes/vg/root.img/deep": zerosID,
		"by-id/pool/1": linksID, "by-id/pool/2": partsID, "by-id/pool/3": zerosID,
		"raw/vg@1.img": linksID, "raw/vg/root.img@2": partsID, "raw/vg/root.img/deep.img": zerosID,
		"info/vg@1.json": linksID, "info/vg/root.json": partsID, "info/vg/root.img/deep.json": zerosID,
	} {
		if id := deviceAt(t, tree, path); id != want {
			t.Errorf("%s is device %d, want %d", path, id, want)
		}
	}
	for name, want := range map[string]string{"vg/root": "vg/root", "@2": "vg/root", "vg@1": "vg@1"} {
		e, err := tree.Find(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if info, err := tree.Volume(t.Context(), e.ID); err != nil || info.Name != want {
			t.Errorf("%s is %q, %v, want %q", name, info.Name, err, want)
		}
	}
}
