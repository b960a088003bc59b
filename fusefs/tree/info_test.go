package tree

import (
	"encoding/json"
	"slices"
	"testing"

	"thintree/meta"
	"thintree/thin/block"
)

// readJSON parses a file of info/ or pools/.
func readJSON(t *testing.T, tree *Tree, path string, into any) {
	t.Helper()
	e, err := tree.Walk(t.Context(), RootID, path, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(contentOf(t, tree, e)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestInfoDescribesAVolume(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	var v VolumeInfo
	readJSON(t, tree, "info/layer-one.json", &v)
	slices.Sort(v.Images)
	switch {
	case v.Name != "layer-one", v.Pool != "pool", *v.DeviceID != linksID, v.Root != "rootfs", v.Problem != "", v.Live:
		t.Errorf("%+v", v)
	case v.SizeBytes != deviceBytes, v.MappedBytes != deviceBytes:
		t.Errorf("%d bytes, %d mapped, want %d", v.SizeBytes, v.MappedBytes, deviceBytes)
	case v.Filesystem == nil, v.Filesystem.Type != "ext4", v.Filesystem.Dirty:
		t.Errorf("filesystem %+v", v.Filesystem)
	case !slices.Equal(v.Containers, []string{"web"}), !slices.Equal(v.Images, []string{"other:2", "web:latest", "x:5000/y:1"}):
		t.Errorf("containers %q, images %q", v.Containers, v.Images)
	}
	for path, problem := range map[string]bool{"info/box.json": true, "info/box-init.json": true, "info/layer-two.json": false} {
		var v VolumeInfo
		readJSON(t, tree, path, &v)
		if (v.Problem != "") != problem || v.Filesystem != nil {
			t.Errorf("%s: problem %q, filesystem %v", path, v.Problem, v.Filesystem)
		}
	}
}

func TestOnlyEnteringAVolumeCountsAsAnOpen(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	pool := func() (p PoolInfo) {
		readJSON(t, tree, "pools/pool.json", &p)
		return p
	}
	for _, view := range []string{"volumes", "raw", "info", "containers", "images", "by-id/pool"} {
		at, err := tree.Walk(t.Context(), RootID, view, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries(t, tree, view, 0) {
			full, err := tree.Lookup(t.Context(), at.ID, e.Name)
			if err != nil {
				t.Fatalf("%s/%s: %v", view, e.Name, err)
			}
			if _, err := tree.Xattrs(t.Context(), full.ID); err != nil {
				t.Errorf("%s/%s: %v", view, e.Name, err)
			}
			if _, err := tree.Statfs(t.Context(), full.ID); err != nil {
				t.Errorf("%s/%s: %v", view, e.Name, err)
			}
		}
	}
	// ls --color and test -d follow the links.
	for _, path := range []string{"containers/web", "images/web:latest", "volumes/layer-two/p1"} {
		if _, err := tree.Walk(t.Context(), RootID, path, true); err != nil {
			t.Error(err)
		}
	}
	if p := pool(); p.OpensTotal != 0 || p.OpenVolumes != 0 {
		t.Errorf("%d opens, %d open, after listings, want none", p.OpensTotal, p.OpenVolumes)
	}
	names(t, tree, "containers/web")
	names(t, tree, "volumes/layer-two/p1")
	names(t, tree, "volumes/layer-one")
	p := pool()
	if p.OpensTotal != 2 || p.OpenVolumes != 2 {
		t.Errorf("%d opens, %d open, want 2 and 2", p.OpensTotal, p.OpenVolumes)
	}
	if p.Devices != 3 || p.Mode != "offline" || p.DataBlockBytes != poolBlock || p.DataTotalBytes != poolBlocks*poolBlock || p.MaxActive != 4 {
		t.Errorf("%+v", p)
	}
}

func TestPartitionsAreFoldersAndImages(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	if got := names(t, tree, "volumes/layer-two"); !slices.Equal(got, []string{"p1"}) {
		t.Errorf("volumes/layer-two lists %q", got)
	}
	if got := names(t, tree, "raw/layer-two.parts"); !slices.Equal(got, []string{"p1.img"}) {
		t.Errorf("raw/layer-two.parts lists %q", got)
	}
	whole := imageAt(t, tree, "raw/layer-two.img")
	part := imageAt(t, tree, "raw/layer-two.parts/p1.img")
	if len(whole) != partsBytes || len(part) != deviceBytes || whole[partStart:] != part || part != imageAt(t, tree, "raw/layer-one.img") {
		t.Errorf("the images have %d and %d bytes, or the wrong contents", len(whole), len(part))
	}
	for _, path := range []string{"volumes/layer-two/p2", "volumes/layer-two/p01", "volumes/layer-two/p", "raw/layer-one.parts", "raw/layer-two.parts/p1"} {
		if e, err := tree.Walk(t.Context(), RootID, path, true); err == nil {
			t.Errorf("%s is node %x", path, e.ID)
		}
	}
}

func imageAt(t *testing.T, tree *Tree, path string) string {
	t.Helper()
	e, err := tree.Walk(t.Context(), RootID, path, true)
	if err != nil {
		t.Fatal(err)
	}
	return contentOf(t, tree, e)
}

func TestPoolThatCannotBeReadIsAWarning(t *testing.T) {
	t.Parallel()
	broken := meta.Pool{Name: "other", Metadata: block.At("/nonexistent/metadata"), Data: block.At("/nonexistent/data")}
	tree := newTree(t, &named{name: "lvm:/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t), broken}}})
	if list := tree.Warnings(); len(list) != 1 {
		t.Errorf("warnings %q, want one", list)
	}
	if got := names(t, tree, "pools"); !slices.Equal(got, []string{"pool.json"}) {
		t.Errorf("pools lists %q", got)
	}
}
