package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

func TestANameInALargeFolderIsFoundByItsHash(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, c := range []struct {
		name    string
		mke2fs  []string
		entries int
		padding string // of each name
		levels  int    // of index blocks beneath the root's
	}{
		{"100,000 entries", []string{"-t", "ext4", "-b", "4096"}, 100_000, "", 1},
		{"three levels with large_dir", []string{"-t", "ext4", "-b", "1024", "-O", "large_dir"}, 65_000, strings.Repeat("n", 240), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, imageSize, c.mke2fs...)
			k := mount(t, image)
			name := func(i int) string { return fmt.Sprintf("entry %d%s", i, c.padding) }
			linkMany(t, k.path(), c.entries, name)
			k.unmount()

			tree := run(t, "debugfs", "-R", "htree_dump /folder", image)
			if want := fmt.Sprintf("Indirect levels: %d", c.levels); !strings.Contains(tree, want) {
				t.Fatalf("the kernel's tree has not %q", want)
			}
			compare(t, image)
			checkLookupReads(t, image, c.entries, name)
		})
	}
}

// linkMany makes a folder of many names for a few files.
func linkMany(t *testing.T, root string, n int, name func(int) string) {
	t.Helper()
	folder := root + "/folder"
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		target := fmt.Sprintf("%s/target %d", root, i/50_000) // below ext4's 65,000 links
		if i%50_000 == 0 {
			if err := os.WriteFile(target, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Link(target, folder+"/"+name(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkLookupReads looks up a few names, each with a reader that has nothing
// cached, and counts what it reads.
func checkLookupReads(t *testing.T, image string, n int, name func(int) string) {
	t.Helper()
	const enough = 256 * kib // the way down the tree, even if it reads ahead
	for _, i := range []int{0, 1, n / 3, n / 2, n - 2, n - 1, n, 2 * n} {
		fs, volume := openCounted(t, image)
		folder, err := fs.Lookup(t.Context(), fs.Root(), "folder")
		if err != nil {
			t.Fatal(err)
		}
		volume.reads.reset()
		_, err = fs.Lookup(t.Context(), folder, name(i))
		if i < n && err != nil || i >= n && !errors.Is(err, syscall.ENOENT) {
			t.Errorf("Lookup(%q): %v", name(i), err)
		}
		if read := volume.reads.bytes.Load(); read > enough {
			t.Errorf("Lookup(%q) read %d bytes in %d calls, want at most %d", name(i), read, volume.reads.calls.Load(), enough)
		}
	}
}

func TestAReadInAFileOfManyExtentsReadsLittle(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, kind := range []string{"ext3", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const blocks = 24_000
			image := newImage(t, imageSize, "-t", kind, "-b", "1024")
			k := mount(t, image)
			content := make([]byte, blocks*kib)
			for i := range blocks {
				copy(content[i*kib:], bytes.Repeat([]byte{byte(i), byte(i >> 8), 1, 2}, kib/4))
			}
			file, err := os.Create(k.path() + "/file")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if _, err := file.Write(content); err != nil {
				t.Fatal(err)
			}
			if err := file.Sync(); err != nil {
				t.Fatal(err)
			}
			for i := 0; i < blocks; i += 2 {
				if err := unix.Fallocate(int(file.Fd()), punch, int64(i)*kib, kib); err != nil {
					t.Fatal(err)
				}
				clear(content[i*kib : (i+1)*kib])
			}
			file.Close()
			k.unmount()
			compare(t, image)

			const enough = 256 * kib // of the 24 MiB
			for _, block := range []int64{0, 1, 777, 10_001, blocks - 1} {
				fs, volume := openCounted(t, image)
				ino, err := fs.Lookup(t.Context(), fs.Root(), "file")
				if err != nil {
					t.Fatal(err)
				}
				volume.reads.reset()
				f, err := fs.Open(t.Context(), ino)
				if err != nil {
					t.Fatal(err)
				}
				got := make([]byte, kib)
				if _, err := f.ReadAt(t.Context(), got, block*kib); err != nil || !bytes.Equal(got, content[block*kib:(block+1)*kib]) {
					t.Errorf("block %d: wrong bytes, error %v", block, err)
				}
				f.Close()
				if read := volume.reads.bytes.Load(); read > enough {
					t.Errorf("a read of block %d read %d bytes in %d calls, want at most %d", block, read, volume.reads.calls.Load(), enough)
				}
			}
		})
	}
}

func TestADeepTreeIsWalkedToItsEnd(t *testing.T) {
	t.Parallel()
	needKernel(t)
	image := newImage(t, 64*mib, "-t", "ext4")
	k := mount(t, image)
	fd, err := unix.Open(k.path(), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { unix.Close(fd) }()
	for i := range 600 {
		name := fmt.Sprintf("level %d with a name that makes a path longer than any path", i)
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	fd = -1
	k.unmount()
	compare(t, image)
}

func TestAFolderOfMoreFoldersThanLinksCount(t *testing.T) {
	t.Parallel()
	needKernel(t)
	const folders = 65_100 // dir_nlink: above 65,000, the count stays 1
	image := newImage(t, imageSize, "-t", "ext4", "-b", "4096", "-N", "70000", "-O", "inline_data")
	k := mount(t, image)
	for i := range folders {
		if err := os.Mkdir(fmt.Sprintf("%s/%d", k.path(), i), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k.unmount()
	compare(t, image)
}

func TestADeletedInodeIsNotThere(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, kind := range []string{"ext2", "ext4"} {
		image := newImage(t, 32*mib, "-t", kind)
		k := mount(t, image)
		path := k.path() + "/file"
		if err := os.WriteFile(path, []byte("gone soon"), 0o644); err != nil {
			t.Fatal(err)
		}
		k.sync()
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		k.unmount()
		fs := open(t, image)
		for _, ino := range []volfs.Ino{volfs.Ino(st.Ino), volfs.Ino(st.Ino) + 1, 1000} {
			if _, err := fs.Stat(t.Context(), ino); !errors.Is(err, syscall.ENOENT) {
				t.Errorf("%s: Stat of inode %d, which nothing uses: %v, want ENOENT", kind, ino, err)
			}
		}
	}
}
