package tree

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"thintree/meta"
	"thintree/thin/block"
)

// plainImage is an ext4 image of 8 MiB with one file.
func plainImage(t *testing.T, file string) string {
	t.Helper()
	needTools(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "in", file), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mkfs.ext4", "-q", "-d", filepath.Join(dir, "in"), filepath.Join(dir, "image"), "8M").CombinedOutput()
	if err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	return filepath.Join(dir, "image")
}

func plainVolume(name, path string) meta.Volume {
	return meta.Volume{Name: name, Plain: block.At(path), SizeBytes: 8 << 20, Role: meta.RoleVolume}
}

func TestPlainVolumesAreShownBesidesThoseOfPools(t *testing.T) {
	t.Parallel()
	image := plainImage(t, "hello")
	half := int64(4 << 20)
	turned, err := block.Linear(block.Piece{In: block.At(image), Offset: 0, Length: half}, block.Piece{In: block.At(image), Offset: half, Length: half})
	if err != nil {
		t.Fatal(err)
	}
	pieces := plainVolume("vg/pieces", image)
	pieces.Plain, pieces.Kind = turned, "linear"
	tree := newTree(t, &named{name: "lvm:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("vg/thin", linksID), plainVolume("vg/whole", image), pieces},
	}})
	for _, name := range []string{"vg/whole", "vg/pieces"} {
		if got, err := listed(t, tree, "volumes/"+name); err != nil || !slices.Contains(got, "hello") {
			t.Errorf("%s lists %q, %v", name, got, err)
		}
		e, err := tree.Walk(t.Context(), RootID, "raw/"+name+".img", true)
		if err != nil || e.Attr.Size != 8<<20 {
			t.Errorf("the image of %s has %d bytes, %v", name, e.Attr.Size, err)
		}
	}
	var v VolumeInfo
	readJSON(t, tree, "info/vg/pieces.json", &v)
	if v.DeviceID != nil || v.Pool != "" || v.Kind != "linear" || v.LiesAt != turned.String() || v.Filesystem == nil || v.Live {
		t.Errorf("info says %+v", v)
	}
	if got := names(t, tree, "by-id/pool"); len(got) != 3 {
		t.Errorf("by-id lists %q", got)
	}
}

func TestPlainVolumeOfAnImageThatChangesIsAnotherVolume(t *testing.T) {
	t.Parallel()
	image := plainImage(t, "first")
	tree := newTree(t, &named{name: "disk:/d", cat: meta.Catalog{Volumes: []meta.Volume{plainVolume("disk", image)}}})
	before, err := tree.Walk(t.Context(), RootID, "volumes/disk", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(plainImage(t, "second"), image); err != nil {
		t.Fatal(err)
	}
	look(t, tree)
	if got, err := listed(t, tree, "volumes/disk"); err != nil || !slices.Contains(got, "second") {
		t.Errorf("the new image lists %q, %v", got, err)
	}
	if _, err := tree.Lookup(t.Context(), before.ID, "first"); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("in the old one: %v, want ESTALE", err)
	}
}

func TestVolumeThatCannotBeFoundIsListedWithTheReason(t *testing.T) {
	t.Parallel()
	image := plainImage(t, "hello")
	lost := meta.Volume{Name: "vg/parity", Lost: fmt.Errorf("raid5: only the kernel reads that: %w", syscall.EMEDIUMTYPE), SizeBytes: 1 << 20, Role: meta.RoleVolume}
	tree := newTree(t, &named{name: "lvm:/d", cat: meta.Catalog{Volumes: []meta.Volume{lost, plainVolume("vg/gone", image), plainVolume("vg/there", plainImage(t, "x"))}}})
	if err := os.Remove(image); err != nil {
		t.Fatal(err)
	}
	look(t, tree)
	if got := names(t, tree, "volumes/vg"); len(got) != 3 {
		t.Errorf("volumes/vg lists %q", got)
	}
	for name, want := range map[string]error{"vg/parity": syscall.EMEDIUMTYPE, "vg/gone": syscall.EIO} {
		if got, err := listed(t, tree, "volumes/"+name); !errors.Is(err, want) || errors.Is(err, syscall.ENOENT) {
			t.Errorf("%s lists %q, %v, want %v", name, got, err, want)
		}
	}
	var v VolumeInfo
	readJSON(t, tree, "info/vg/parity.json", &v)
	if !strings.Contains(v.Problem, "only the kernel reads that") || v.Damaged {
		t.Errorf("info says %+v", v)
	}
	readJSON(t, tree, "info/vg/gone.json", &v)
	if !strings.Contains(v.Problem, image) {
		t.Errorf("info of a volume on a missing disk says %q", v.Problem)
	}
	if len(tree.Warnings()) != 1 {
		t.Errorf("warnings %v, want one of the missing disk", tree.Warnings())
	}
}

func TestThinVolumeReadsUnmappedBlocksFromItsExternalOrigin(t *testing.T) {
	t.Parallel()
	image := plainImage(t, "golden")
	clone := volumeRecord("vg/clone", zerosID) // nothing of it is mapped
	clone.ExternalOrigin, clone.SizeBytes = "vg/golden", 8<<20
	orphan := clone
	orphan.Name, orphan.ExternalOrigin = "vg/orphan", "vg/removed"
	tree := newTree(t, &named{name: "lvm:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{plainVolume("vg/golden", image), clone, orphan},
	}})
	if got, err := listed(t, tree, "volumes/vg/clone"); err != nil || !slices.Contains(got, "golden") {
		t.Errorf("the clone lists %q, %v", got, err)
	}
	_, err := listed(t, tree, "volumes/vg/orphan")
	cannot(t, "a volume without its origin", err, "vg/removed")
}
