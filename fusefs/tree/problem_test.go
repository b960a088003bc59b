package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thintree/meta"
)

func TestInfoTellsOfDamageInWhatIsShown(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	data, err := os.ReadFile(pool.Data)
	if err != nil {
		t.Fatal(err)
	}
	const descriptor = 2 << 10 // of the first block group, in blocks of 1 KiB
	data[descriptor+0x1e] ^= 1 // bg_checksum
	pool.Data = filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(pool.Data, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tree := newTree(t, &named{name: "lvm:/d", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{volumeRecord("v", linksID)}}})
	if got := names(t, tree, "volumes/v"); !slices.Contains(got, "rootfs") {
		t.Errorf("the volume holds %q", got)
	}
	var v VolumeInfo
	readJSON(t, tree, "info/v.json", &v)
	if !strings.Contains(v.Problem, "descriptor") || v.Filesystem == nil || v.Filesystem.FreeBytes == nil {
		t.Errorf("problem %q, filesystem %+v", v.Problem, v.Filesystem)
	}
}
