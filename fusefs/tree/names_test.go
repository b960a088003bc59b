package tree

import (
	"testing"

	"thintree/meta"
)

func TestShownNamesCanAlwaysBePaths(t *testing.T) {
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
	var check func(n *node)
	check = func(n *node) {
		for _, e := range n.entries {
			if e.name == "" || e.name == "." || e.name == ".." || len(e.name) > 255 {
				t.Errorf("%s holds an entry named %q", n.path(), e.name)
			}
			check(e)
		}
	}
	check(tree.view.Load().root)
	if id := deviceAt(t, tree, "by-id/pool/3"); id != zerosID {
		t.Errorf("by-id/pool/3 leads to device %d, want %d", id, zerosID)
	}
}
