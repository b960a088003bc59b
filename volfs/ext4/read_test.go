package ext4

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// contents returns files of the sizes at which the way of storing them changes.
func contents() map[string][]byte {
	random := rand.NewChaCha8([32]byte{1})
	files := map[string][]byte{"empty": nil}
	for name, size := range map[string]int{"1": 1, "60": 60, "61": 61, "150": 150, "1K": 1 << 10, "5000": 5000, "13K": 13 << 10, "300K": 300 << 10} {
		p := make([]byte, size)
		if _, err := random.Read(p); err != nil {
			panic(err) // it never fails
		}
		files[name] = p
	}
	return files
}

func TestFilesReadBackAsTheyWerePut(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"ext2":               {"-t", "ext2", "-b", "1024"},
		"ext3":               {"-t", "ext3", "-b", "4096"},
		"ext4":               {"-t", "ext4"},
		"inline_data":        {"-t", "ext4", "-O", "inline_data", "-I", "512"},
		"bigalloc":           {"-t", "ext4", "-O", "bigalloc"},
		"meta_bg":            {"-t", "ext4", "-b", "1024", "-g", "256", "-O", "meta_bg,^resize_inode"},
		"blocks of 64K":      {"-t", "ext4", "-b", "65536"},
		"inodes of 64K":      {"-t", "ext4", "-b", "65536", "-I", "65536", "-N", "64", "-O", "^has_journal"},
		"inodes of 128":      {"-t", "ext4", "-I", "128", "-O", "^extra_isize"},
		"64bit, no checksum": {"-t", "ext4", "-O", "64bit,^metadata_csum"},
		"uninit_bg":          {"-t", "ext4", "-O", "^64bit,^metadata_csum,uninit_bg"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := contents()
			image := makeImage(t, "32M", func(dir string) {
				for name, p := range files {
					writeFile(t, filepath.Join(dir, name), string(p))
				}
			}, args...)
			fs := mustOpen(t, load(t, image))
			list, err := names(fs, fs.Root())
			if err != nil || len(list) != len(files)+1 { // lost+found
				t.Errorf("names %q, %v", list, err)
			}
			for name, want := range files {
				if got := readAll(t, fs, resolve(t, fs, name)); string(got) != string(want) {
					t.Errorf("%s: %d bytes that differ from the %d", name, len(got), len(want))
				}
			}
		})
	}
}

func TestSparseFilesHaveTheirHoles(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-t", "ext4", "-b", "1024"}, {"-t", "ext2", "-b", "1024"}} {
		image := makeImage(t, "8M", func(dir string) {
			f, err := os.Create(filepath.Join(dir, "sparse"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, off := range []int64{8 << 10, 100 << 10, 70 << 20} {
				if _, err := f.WriteAt([]byte("data"), off); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Truncate(100 << 20); err != nil {
				t.Fatal(err)
			}
		}, args...)
		fs := mustOpen(t, load(t, image))
		f, err := fs.Open(context.Background(), resolve(t, fs, "sparse"))
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for off := int64(0); ; {
			data, err := f.NextData(t.Context(), off)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if off, err = f.NextHole(t.Context(), data); err != nil {
				t.Fatal(err)
			}
			got = append(got, data, off)
		}
		// mke2fs copies in pieces of 4096 bytes at least.
		if len(got) != 6 || got[0] != 8<<10 || got[2] != 100<<10 || got[4] != 70<<20 {
			t.Errorf("%v: data and holes at %v", args, got)
		}
		if hole, err := f.NextHole(t.Context(), 99<<20); hole != 99<<20 || err != nil {
			t.Errorf("NextHole in the last hole: %d, %v", hole, err)
		}
		if _, err := f.NextHole(t.Context(), 100<<20); !errors.Is(err, io.EOF) {
			t.Errorf("NextHole at the end: %v", err)
		}
	}
}

func TestLinksAndDevicesAreShown(t *testing.T) {
	t.Parallel()
	slow := strings.Repeat("a/", 60)
	image := makeImage(t, "4M", func(dir string) {
		for name, target := range map[string]string{"fast": "target", "slow": slow} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}, "-t", "ext4", "-I", "256")
	debugfs(t, image, "mknod small c 5 1", "mknod large b 259 200", "mknod fifo p")
	fs, ctx := mustOpen(t, load(t, image)), context.Background()
	for name, want := range map[string]string{"fast": "target", "slow": slow} {
		if got, err := fs.Readlink(ctx, resolve(t, fs, name)); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]uint64{"small": unix.Mkdev(5, 1), "large": unix.Mkdev(259, 200), "fifo": 0} {
		if a, err := fs.Stat(ctx, resolve(t, fs, name)); a.Rdev != want || err != nil {
			t.Errorf("%s: device %#x, want %#x; %v", name, a.Rdev, want, err)
		}
	}
	if _, err := fs.Readlink(ctx, fs.Root()); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Readlink of a folder: %v", err)
	}
	if _, err := fs.Open(ctx, fs.Root()); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("Open of a folder: %v", err)
	}
	if _, err := fs.Open(ctx, resolve(t, fs, "fifo")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Open of a fifo: %v", err)
	}
	if _, err := fs.Lookup(ctx, resolve(t, fs, "fifo"), "x"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Lookup in a fifo: %v", err)
	}
	if _, err := fs.Lookup(ctx, fs.Root(), strings.Repeat("x", 256)); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("Lookup of a long name: %v", err)
	}
	for _, ino := range []volfs.Ino{0, 100, 1 << 40} {
		if _, err := fs.Stat(ctx, ino); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("Stat of inode %d: %v", ino, err)
		}
	}
}

// manyImage returns a filesystem with a folder, "many", of 300 files. It has a hash index
// unless args say otherwise.
func manyImage(t *testing.T, args ...string) string {
	t.Helper()
	image := makeImage(t, "4M", func(dir string) {
		if err := os.Mkdir(filepath.Join(dir, "many"), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			writeFile(t, filepath.Join(dir, "many", manyName(i)), "")
		}
	}, append([]string{"-t", "ext4", "-b", "1024"}, args...)...)
	program(t, "sh", "-c", "PATH=$PATH:/usr/sbin; e2fsck -fyD "+image+" || test $? = 1")
	return image
}

func manyName(i int) string {
	return strings.Repeat("name ", 5) + string(rune('a'+i%26)) + string(rune('A'+i/26))
}

func TestAListingResumesFromAnyCookie(t *testing.T) {
	t.Parallel()
	fs := mustOpen(t, load(t, manyImage(t)))
	dir := resolve(t, fs, "many")
	all, err := list(fs, dir)
	if err != nil || len(all) != 302 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	if all[0].Name != "." || all[1].Name != ".." {
		t.Errorf("it begins with %q, %q", all[0].Name, all[1].Name)
	}
	for i, e := range all {
		var rest []volfs.DirEntry
		if err := fs.ReadDir(context.Background(), dir, e.Cookie, func(e volfs.DirEntry) bool {
			rest = append(rest, e)
			return len(rest) < 5
		}); err != nil {
			t.Fatal(err)
		}
		if want := all[i+1 : min(i+6, len(all))]; !slices.Equal(rest, want) {
			t.Fatalf("after %q: %v, want %v", e.Name, rest, want)
		}
	}
	for _, cookie := range []uint64{1, 11, 1025, 1 << 40, 1<<64 - 1} {
		if err := fs.ReadDir(context.Background(), dir, cookie, func(volfs.DirEntry) bool { return true }); err != nil {
			t.Errorf("cookie %d: %v", cookie, err)
		}
	}
}

func TestNamesAreFoundByTheIndex(t *testing.T) {
	t.Parallel()
	fs := mustOpen(t, load(t, manyImage(t)))
	in, err := fs.loadInode(t.Context(), uint32(resolve(t, fs, "many")))
	if err != nil || !fs.isIndexed(in) {
		t.Fatalf("no index; %v", err)
	}
	for i := range 300 {
		if ino, err := fs.lookupIndexed(context.Background(), in, plainQuery([]byte(manyName(i)))); ino == 0 || err != nil {
			t.Errorf("%q: %d, %v", manyName(i), ino, err)
		}
	}
	if _, err := fs.Lookup(context.Background(), volfs.Ino(in.ino), "absent"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a name that is not there: %v", err)
	}
}

func TestExtendedAttributesOfEveryPlace(t *testing.T) {
	t.Parallel()
	image := makeImage(t, "4M", func(dir string) { writeFile(t, filepath.Join(dir, "f"), "content") },
		"-t", "ext4", "-b", "1024", "-I", "256", "-O", "ea_inode")
	want := map[string]string{
		"user.inside":         "in the inode",
		"trusted.block":       strings.Repeat("b", 300),
		"security.capability": "\x01\x00\x00\x02",
		"user.inode":          strings.Repeat("i", 1000),
	}
	var commands []string
	for name, value := range want {
		path := filepath.Join(t.TempDir(), "value")
		writeFile(t, path, value)
		commands = append(commands, "ea_set -f "+path+" f "+name)
	}
	debugfs(t, image, commands...)
	fs, ctx := mustOpen(t, load(t, image)), context.Background()
	ino := resolve(t, fs, "f")
	list, err := fs.Xattrs(ctx, ino)
	if err != nil || len(list) != len(want) {
		t.Errorf("names %q, %v", list, err)
	}
	for name, value := range want {
		if got, err := fs.Xattr(ctx, ino, name); string(got) != value || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for _, name := range []string{"user.absent", "system.data", "", "user"} {
		if _, err := fs.Xattr(ctx, ino, name); !errors.Is(err, syscall.ENODATA) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
