package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestInodeNumbersAreExactInDoubles looks at inode numbers as programs do that hold them in
// doubles.
func TestInodeNumbersAreExactInDoubles(t *testing.T) {
	t.Parallel()
	source, kernel := filledVolume(t, "links", "mkdir d; for f in a b c; do echo $f > d/$f; ln d/$f d/${f}2; done")
	mnt := mount(t, source...)
	var listed []struct {
		Name      string  `json:"name"`
		Inode     float64 `json:"inode"`
		DiskInode float64 `json:"disk_inode"`
	}
	args := append(append([]string{"ls", "--json"}, source...), "links:/d")
	if err := json.Unmarshal([]byte(thintree(t, args...).must(t)), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 6 {
		t.Fatalf("%d files are listed", len(listed))
	}
	file := make(map[float64]string) // by inode number, as the first letter of its names
	for _, f := range listed {
		ino, disk := inode(t, filepath.Join(mnt, "volumes/links/d", f.Name)), inode(t, filepath.Join(kernel, "d", f.Name))
		if uint64(f.Inode) != ino {
			t.Errorf("%s: ls tells inode number %.0f, stat %d", f.Name, f.Inode, ino)
		}
		if uint64(f.DiskInode) != disk {
			t.Errorf("%s: ls tells inode number %.0f on the disk, the kernel %d", f.Name, f.DiskInode, disk)
		}
		if other := file[f.Inode]; other != "" && other != f.Name[:1] {
			t.Errorf("%s is a link of %s by its inode number", f.Name, other)
		}
		file[f.Inode] = f.Name[:1]
	}
	if len(file) != 3 {
		t.Errorf("6 links of 3 files have %d inode numbers", len(file))
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
