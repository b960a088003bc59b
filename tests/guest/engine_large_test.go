package guest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"thintree/tests/manifest"
)

// TestFilesWithHighInodeNumbers reads an xfs through the tree whose inode numbers do not fit
// 32 bits.
func TestFilesWithHighInodeNumbers(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		p.create(t, 0)
		const sectors = 4 << 40 / sectorBytes
		dir := t.TempDir()
		// Folders are spread over the disk, and a file lies near its folder.
		sh(t, fmt.Sprintf(`
dmsetup create filled --table '0 %d thin /dev/mapper/pool 0'
mkfs.xfs -q -K -l size=64m /dev/mapper/filled
mount /dev/mapper/filled %[2]s; cd %[2]s
for d in $(seq 40); do mkdir $d; echo $d > $d/file; ln $d/file $d/hard; ln -s file $d/link; done
cd /; umount %[2]s; mount -o ro,norecovery,nouuid /dev/mapper/filled %[2]s`, sectors, dir))
		want := must(manifest.OfDir(t.Context(), dir, manifest.Options{}))
		high := false
		for _, ino := range strings.Fields(sh(t, "find "+dir+" -printf '%i\n'")) {
			high = high || must(strconv.ParseUint(ino, 10, 64)) >= 1<<32
		}
		if !high {
			t.Fatal("all inode numbers fit 32 bits")
		}
		sh(t, "umount "+dir+"; dmsetup remove filled")
		mnt := mountTree(t, "--names", writeText(t, fmt.Sprintln(0, sectors, "large")), "pool:"+p.metadataFile+","+p.dataFile)
		shown := filepath.Join(mnt, "volumes/large")
		equal(t, want, shown)
		folders := make(map[uint64]string) // of files, by inode number
		for _, line := range strings.Fields(sh(t, "find "+shown+" -type f -printf '%i:%h\n'")) {
			number, folder, _ := strings.Cut(line, ":")
			ino := must(strconv.ParseUint(number, 10, 64))
			if ino >= 1<<53 {
				t.Errorf("a file in %s has inode number %d", folder, ino)
			}
			if other := folders[ino]; other != "" && other != folder {
				t.Errorf("files in %s and %s have inode number %d", folder, other, ino)
			}
			folders[ino] = folder
		}
		if len(folders) != 40 {
			t.Errorf("40 files have %d inode numbers", len(folders))
		}
	})
}
