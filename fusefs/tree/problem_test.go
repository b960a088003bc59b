package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thintree/meta"
	"thintree/thin/block"
)

func TestInfoSaysThatAFilesystemIsDamaged(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	data, err := os.ReadFile(pool.Data.String())
	if err != nil {
		t.Fatal(err)
	}
	const descriptor = 2 << 10 // of the first block group, in blocks of 1 KiB
	data[descriptor+0x1e] ^= 1 // bg_checksum
	path := filepath.Join(t.TempDir(), "data")
	pool.Data = block.At(path)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tree := newTree(t, &named{name: "lvm:/d", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{volumeRecord("v", linksID)}}})
	if got := names(t, tree, "volumes/v"); !slices.Contains(got, "rootfs") {
		t.Errorf("volumes/v lists %q", got)
	}
	var v VolumeInfo
	readJSON(t, tree, "info/v.json", &v)
	if !strings.Contains(v.Problem, "descriptor") || v.Filesystem == nil || v.Filesystem.FreeBytes == nil {
		t.Errorf("problem %q, filesystem %+v", v.Problem, v.Filesystem)
	}
}
