package ext4

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// limits is what a filesystem cannot hold of the tree: extended attributes of a
// block and more, and what else is told.
func limits(blockSize int, more ...string) []string {
	refused := slices.Clone(more)
	if blockSize < 4*kib {
		refused = append(refused, "120 xattrs")
	}
	for _, size := range []int{blockSize, 2 * blockSize, 50_000, 65_536} {
		refused = append(refused, fmt.Sprintf("xattr of %d bytes", size))
	}
	slices.Sort(refused)
	return refused
}

// noExtents is what needs extents.
var noExtents = []string{"fallocate", "collapse range", "insert range", "zero range"}

// blockMapLimits is limits of what has neither extents nor huge_file.
func blockMapLimits(blockSize int) []string {
	more := append(slices.Clone(noExtents), "offset 3072 GiB")
	if blockSize < 4*kib {
		more = append(more, "1 TiB")
	}
	return limits(blockSize, more...)
}

// tune runs tune2fs(8).
func tune(args ...string) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		run(t, "tune2fs", append(args, image)...)
	}
}

// hash sets the hash of the folders to come; flags is s_flags: 1 for signed
// char, 2 for unsigned.
func hash(version, flags string) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		run(t, "tune2fs", "-E", "hash_alg="+version, image)
		debugfs(t, image, "set_super_value flags "+flags)
	}
}

// e2fsck runs e2fsck(8), which may change things.
func e2fsck(args ...string) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		runStatus(t, 1, "e2fsck", append(append([]string{"-f", "-y"}, args...), image)...)
	}
}

// checked runs e2fsck(8) first, as some changes want it.
func checked(change func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		e2fsck()(t, image)
		change(t, image)
	}
}

// addedExtents gives a filesystem of block maps some files with extents.
func addedExtents(t *testing.T, image string) {
	t.Helper()
	run(t, "tune2fs", "-O", "extent,huge_file,dir_nlink,extra_isize", image)
	k := mount(t, image)
	defer k.unmount()
	for i := range 20 {
		if err := os.WriteFile(fmt.Sprintf("%s/with extents %d", k.path(), i), make([]byte, i*3000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
