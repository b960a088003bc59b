package ext4

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"thintree/volfs"
	"thintree/volfs/ext4"
)

// listedEntry is an entry of a folder with what a listing says of its inode.
type listedEntry struct {
	volfs.DirEntry
	volfs.Attr
}

// listParts lists a folder with attributes, atOnce entries in each call, as a server of
// requests does. What the listing does not say is asked for.
func listParts(t *testing.T, fs *ext4.FS, dir volfs.Ino, atOnce int) (list []listedEntry, err error) {
	t.Helper()
	for cookie, more := uint64(0), true; more && err == nil; {
		more = false
		n := 0
		err = fs.ReadDirAttrs(t.Context(), dir, cookie, func(e volfs.DirEntry, attr *volfs.Attr) bool {
			if n == atOnce {
				more = true
				return false
			}
			n++
			cookie = e.Cookie
			l := listedEntry{DirEntry: e}
			if attr != nil {
				l.Attr = *attr
			} else if a, err := fs.Stat(t.Context(), e.Ino); err == nil {
				l.Attr = a
			}
			list = append(list, l)
			return true
		})
	}
	return list, err
}

// listSingly lists a folder and asks for each inode.
func listSingly(t *testing.T, fs *ext4.FS, dir volfs.Ino) (list []listedEntry, err error) {
	t.Helper()
	err = fs.ReadDir(t.Context(), dir, 0, func(e volfs.DirEntry) bool {
		l := listedEntry{DirEntry: e}
		if a, err := fs.Stat(t.Context(), e.Ino); err == nil {
			l.Attr = a
		}
		list = append(list, l)
		return true
	})
	return list, err
}

// manyFiles makes a folder of n files. Its entries are in the order of hashes, and so
// in none of the inodes'.
func manyFiles(t *testing.T, n int, mke2fs ...string) (image string) {
	t.Helper()
	image = newImage(t, imageSize, append([]string{"-t", "ext4", "-b", "4096", "-N", fmt.Sprint(n + 1000)}, mke2fs...)...)
	k := mount(t, image)
	if err := os.Mkdir(k.path()+"/many", 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := syscall.Mknod(fmt.Sprintf("%s/many/file_%d", k.path(), i), syscall.S_IFREG|0o644, 0); err != nil {
			t.Fatal(err)
		}
	}
	k.unmount()
	return image
}

func TestAListingWithAttributesReadsInodeTablesInLargePieces(t *testing.T) {
	t.Parallel()
	needKernel(t)
	const files, inodeSize = 40_000, 256
	image := manyFiles(t, files)
	for _, atOnce := range []int{25, 200, files} {
		fs, volume := openCounted(t, image)
		dir, err := fs.Lookup(t.Context(), fs.Root(), "many")
		if err != nil {
			t.Fatal(err)
		}
		folder, err := fs.Stat(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		volume.reads.reset()
		list, err := listParts(t, fs, dir, atOnce)
		if err != nil || len(list) != files+2 {
			t.Fatalf("%d entries, error %v", len(list), err)
		}
		calls, bytes := volume.reads.calls.Load(), volume.reads.bytes.Load()
		calls -= folder.Size / int64(folder.BlockSize) // its own blocks
		if calls > 100 {
			t.Errorf("%d at once: %d reads of the inode tables, want some dozens", atOnce, calls)
		}
		if most := int64(10 * files * inodeSize); bytes > most {
			t.Errorf("%d at once: %d bytes read, want at most %d", atOnce, bytes, most)
		}
	}
}

func TestListingWithAttributesEqualsStat(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, mke2fs := range [][]string{nil, {"-O", "^flex_bg", "-g", "1024"}, {"-I", "1024"}, {"-I", "128"}} {
		t.Run(fmt.Sprint(mke2fs), func(t *testing.T) {
			t.Parallel()
			image := manyFiles(t, 3000, mke2fs...)
			fs := open(t, image)
			dir, err := fs.Lookup(t.Context(), fs.Root(), "many")
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range []volfs.Ino{fs.Root(), dir} {
				want, err := listSingly(t, fs, dir)
				if err != nil {
					t.Fatal(err)
				}
				var listers sync.WaitGroup
				for _, atOnce := range []int{1, 3, 511, 512, 513, 1000, 2999, 3002, 3003, 10_000} {
					listers.Go(func() {
						if got, err := listParts(t, fs, dir, atOnce); err != nil || !slices.Equal(got, want) {
							t.Errorf("by %d at once there are %d entries, or others: %v", atOnce, len(got), err)
						}
					})
				}
				listers.Wait()
			}
		})
	}
}

// Damaged inodes cost no others, and a damaged block of the folder is told of at the
// end, also when the listing is in parts.
func TestAListingWithAttributesOfADamagedFolder(t *testing.T) {
	t.Parallel()
	needKernel(t)
	image := manyFiles(t, 3000)
	for _, command := range []string{"set_inode_field /many/file_1 mode 0", "set_inode_field /many/file_2 links_count 0"} {
		debugfs(t, image, command)
	}
	run(t, "debugfs", "-w", "-R", "zap_block -p 255 -f /many 5", image)
	fs := open(t, image)
	dir, err := fs.Lookup(t.Context(), fs.Root(), "many")
	if err != nil {
		t.Fatal(err)
	}
	want, wantErr := listSingly(t, fs, dir)
	if !errors.Is(wantErr, syscall.EIO) || len(want) < 2000 || len(want) > 2990 {
		t.Fatalf("%d entries, %v", len(want), wantErr)
	}
	for _, atOnce := range []int{7, 256, 10_000} {
		got, err := listParts(t, open(t, image), dir, atOnce)
		if !errors.Is(err, syscall.EIO) || !slices.Equal(got, want) {
			t.Errorf("by %d at once: %d entries, want %d: %v", atOnce, len(got), len(want), err)
		}
	}
}
