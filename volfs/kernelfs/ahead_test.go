package kernelfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// listedEntry is an entry of a folder with its attributes.
type listedEntry struct {
	volfs.DirEntry
	attr volfs.Attr
}

// inParts lists a folder a few entries at a time.
func inParts(t *testing.T, fs *kernelfs.FS, dir volfs.Ino, atOnce int) (list []listedEntry) {
	t.Helper()
	for cookie, n := uint64(0), atOnce; n == atOnce; {
		n = 0
		err := fs.ReadDirAttrs(t.Context(), dir, cookie, func(e volfs.DirEntry, attr *volfs.Attr) bool {
			if n == atOnce {
				return false
			}
			n++
			cookie = e.Cookie
			entry := listedEntry{DirEntry: e}
			if attr != nil {
				entry.attr = *attr
			}
			list = append(list, entry)
			return true
		})
		if err != nil {
			t.Error(err)
		}
	}
	return list
}

func TestFolderIsTheSameInParts(t *testing.T) {
	t.Parallel()
	dev := device(t, "mkfs.ext4 -q")
	const files = 700
	mnt := mount(t, dev, "ext4", "rw")
	for i := range files {
		if err := os.WriteFile(filepath.Join(mnt, fmt.Sprint("file", i)), make([]byte, i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sh(t, "umount "+mnt)
	fs := open(t, dev, "ext4")
	whole := inParts(t, fs, fs.Root(), 1<<20)
	if len(whole) != files+len([]string{".", "..", "lost+found"}) {
		t.Fatalf("%d entries", len(whole))
	}
	var listers sync.WaitGroup
	for _, atOnce := range []int{1, 2, 50, 127, 128, 129, 600, files + 3} {
		listers.Go(func() {
			if parts := inParts(t, fs, fs.Root(), atOnce); !slices.Equal(parts, whole) {
				t.Errorf("by %d at once there are %d entries, or others", atOnce, len(parts))
			}
		})
	}
	listers.Wait()
	for _, e := range whole {
		if a, err := fs.Stat(t.Context(), e.Ino); err != nil || e.attr.Ino != 0 && e.attr != a {
			t.Errorf("%s: %+v, want %+v, %v", e.Name, e.attr, a, err)
		}
	}
}
