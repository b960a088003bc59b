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

// changed runs one command of debugfs(8).
func changed(command string) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		debugfs(t, image, command)
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

// checksumsAdded lets e2fsck(8) make the room for checksums that tune2fs at
// times leaves folders without.
func checksumsAdded(t *testing.T, image string) {
	t.Helper()
	checked(tune("-O", "metadata_csum"))(t, image)
	e2fsck("-D")(t, image)
}

// oddInodes gives inodes what old kernels and very large files have.
func oddInodes(t *testing.T, image string) {
	t.Helper()
	for file, size := range map[string]int{ // what lies beyond is no field of theirs
		"/times/4294967296.0": 4, "/times/4294967296.1": 8, "/times/4294967296.999999999": 12, "/times/6442450944.0": 16,
		"/times/6442450944.1": 20, "/times/6442450944.999999999": 24, "/times/13569465600.0": 28, "/times/13569465600.1": 0,
	} {
		debugfs(t, image, fmt.Sprintf("set_inode_field %s extra_isize %d", file, size))
	}
	debugfs(t, image, "set_inode_field /sizes/1 flags 0xc0000")  // EXT4_HUGE_FILE_FL: i_blocks in blocks
	debugfs(t, image, "set_inode_field /sizes/60 flags 0x80044") // EXT4_COMPR_FL, EXT4_NODUMP_FL
	debugfs(t, image, "set_inode_field /sizes/61 size 100000")
	debugfs(t, image, "set_inode_field /sizes/4097 size 10")
	debugfs(t, image, "set_inode_field /sizes/100 generation 0xffffffff")
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
