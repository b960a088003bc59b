package ext4

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/ext4"
)

// crafted counts the tests whose expectation no kernel made.
var crafted atomic.Int32

func TestMain(m *testing.M) {
	status := m.Run()
	fmt.Printf("crafted, no kernel oracle: %d\n", crafted.Load())
	os.Exit(status)
}

func craft(t *testing.T, why string) {
	t.Helper()
	crafted.Add(1)
	t.Logf("crafted, no kernel oracle: %s", why)
}

// Blocks larger than a page are only mounted by kernels since 6.19 or with
// larger pages. mke2fs copies a folder in, so that folder is the truth, but for
// what a copy changes.
func TestCraftedLargeBlocks(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, size := range []string{"8192", "16384", "32768", "65536"} {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			craft(t, "blocks of "+size+" bytes")
			source := sourceFolder(t)
			image := newImage(t, 1*gib, "-t", "ext4", "-b", size, "-d", source)
			want, err := manifest.OfDir(t.Context(), source, manifest.Options{SparseAbove: look.SparseAbove})
			if err != nil {
				t.Fatal(err)
			}
			fs := open(t, image)
			got, err := manifest.OfFS(t.Context(), fs, look)
			if err != nil {
				t.Fatal(err)
			}
			checkContract(t, fs, got)
			if diff := manifest.Diff(asCopied(want), asCopied(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// asCopied leaves out what mke2fs -d does not copy, and what it adds.
func asCopied(m manifest.Manifest) manifest.Manifest {
	var out manifest.Manifest
	for _, e := range m {
		if e.Path == "lost+found" {
			continue
		}
		e.Blocks, e.Mtime, e.Ctime, e.More = 0, volfs.Time{}, volfs.Time{}, nil
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			e.Size = 0
		}
		if e.Path == "." {
			e.Nlink, e.Mode, e.UID, e.GID = 0, e.Mode&unix.S_IFMT, 0, 0
		}
		out = append(out, e)
	}
	return out
}

// sourceFolder is a small tree on the filesystem of the tests.
func sourceFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f := &filler{t: t, root: dir, blockSize: 64 * kib, refused: map[string]bool{}}
	for _, size := range []int64{0, 1, 60, 61, 4095, 65535, 65536, 65537, 300_000} {
		f.write(fmt.Sprintf("%s/file of %d", dir, size), slices.Repeat([]byte{byte(size), 7, 9}, int(size)/3+1)[:size])
	}
	many := f.mkdir("many")
	for i := range 1000 {
		f.write(fmt.Sprintf("%s/%d %s", many, i, strings.Repeat("n", i%200)), nil)
	}
	f.must(os.Symlink("short", dir+"/link"))
	f.must(os.Symlink(strings.Repeat("long/", 100), dir+"/long link"))
	f.must(os.Link(dir+"/file of 1", dir+"/hard link"))
	f.must(unix.Mknod(dir+"/fifo", unix.S_IFIFO|0o600, 0))
	f.must(unix.Lsetxattr(dir+"/file of 60", "user.x", []byte("value"), 0))
	f.must(os.Chown(dir+"/file of 61", 70_000, 80_000))
	return dir
}

// Casefolding changes how names are found, not what is there. So what the kernel
// shows of a filesystem is true also after tune2fs has added the feature
// and debugfs the flag of a folder.
func TestCraftedCasefold(t *testing.T) {
	t.Parallel()
	needKernel(t)
	image := newImage(t, imageSize, ext4With()...)
	k := mount(t, image)
	for _, path := range []string{"/folded", "/plain"} {
		if err := os.Mkdir(k.path()+path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(k.path()+"/plain/File", []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.path()+"/folded/ÄFile", []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	k.unmount()
	want := kernelTruth(t, image)
	tune("-O", "casefold", "-E", "encoding=utf8")(t, image)
	debugfs(t, image, "set_inode_field /folded flags 0x40080000") // EXT4_CASEFOLD_FL, EXT4_EXTENTS_FL
	if k, err := tryMount(t, image, "ro", "noload"); err == nil {
		defer k.unmount()
		t.Log("this kernel mounts casefold, and is the oracle")
		compare(t, image)
		return
	}
	craft(t, "casefold")
	compareTruth(t, image, want)

	fs := open(t, image)
	folded, err := fs.Lookup(t.Context(), fs.Root(), "folded")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"äfile", "ÄFILE", "a\u0308file"} {
		if _, err := fs.Lookup(t.Context(), folded, name); err != nil {
			t.Errorf("Lookup(%q) in a folded folder: %v", name, err)
		}
	}
	plain, err := fs.Lookup(t.Context(), fs.Root(), "plain")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Lookup(t.Context(), plain, "file"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Lookup of another case in a plain folder: %v, want ENOENT", err)
	}
}

// A file with fs-verity has its Merkle tree beyond its end. A kernel without
// fs-verity refuses to open it, one with it would want a true tree.
func TestCraftedVerityFile(t *testing.T) {
	t.Parallel()
	needKernel(t)
	craft(t, "a file with the verity flag")
	image := newImage(t, imageSize, ext4With("-O", "verity")...)
	k := mount(t, image)
	if err := os.WriteFile(k.path()+"/file", []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	k.unmount()
	debugfs(t, image, "set_inode_field /file flags 0x180000") // EXT4_VERITY_FL, EXT4_EXTENTS_FL

	fs := open(t, image)
	ino, err := fs.Lookup(t.Context(), fs.Root(), "file")
	if err != nil {
		t.Fatal(err)
	}
	a, err := fs.Stat(t.Context(), ino)
	if err != nil || a.Flags&unix.STATX_ATTR_VERITY == 0 {
		t.Errorf("flags %#x, error %v, want STATX_ATTR_VERITY", a.Flags, err)
	}
	f, err := fs.Open(t.Context(), ino)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 8)
	if n, _ := f.ReadAt(t.Context(), got, 0); string(got[:n]) != "content" {
		t.Errorf("read %q", got[:n])
	}
}

// The kernel's own rule: an unknown incompatible feature forbids the mount, an
// unknown read-only compatible one only writing.
func TestUnknownFeaturesAreTakenAsTheKernelTakesThem(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, c := range []struct {
		field, value string
		readable     bool
	}{
		{"feature_incompat", "0x80000242", false},
		{"feature_incompat", "0x0000024a", false}, // journal_dev
		{"feature_incompat", "0x00000243", false}, // compression
		{"feature_ro_compat", "0x8000006b", true},
		{"feature_compat", "0x8000003c", true},
	} {
		t.Run(c.field+" "+c.value, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, 32*mib, ext4With("-O", "^metadata_csum,^64bit")...)
			debugfs(t, image, "set_super_value "+c.field+" "+c.value)
			k, err := tryMount(t, image, "ro", "noload")
			if (err == nil) != c.readable {
				t.Fatalf("the kernel's mount: %v", err)
			}
			if c.readable {
				tree, err := manifest.OfDir(t.Context(), k.path(), look)
				if err != nil {
					t.Fatal(err)
				}
				got, err := manifest.OfFS(t.Context(), open(t, image), look)
				if diff := manifest.Diff(tree, got); diff != "" || err != nil {
					t.Error(err, diff)
				}
				return
			}
			var unsupported *volfs.UnsupportedError
			if _, err := ext4.Open(t.Context(), openVolume(t, image), volfs.Options{}); !errors.As(err, &unsupported) {
				t.Errorf("Open: %v, want an UnsupportedError", err)
			}
		})
	}
}

// With noload, the kernel does not look for the journal, wherever it is.
func TestAnExternalJournalIsNotNeeded(t *testing.T) {
	t.Parallel()
	needKernel(t)
	image := newImage(t, imageSize, ext4With("-O", "^has_journal")...)
	k := mount(t, image)
	fill(t, k)
	k.unmount()
	debugfs(t, image, "set_super_value feature_compat 0x3c") // has_journal
	debugfs(t, image, "set_super_value journal_dev 0x0801")
	compare(t, image)
}

func TestWhatIsNoExt4IsRefused(t *testing.T) {
	t.Parallel()
	for name, content := range map[string][]byte{
		"empty": nil, "zeros": make([]byte, mib), "text": []byte(strings.Repeat("this is no filesystem\n", 5000)),
	} {
		image := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(image, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ext4.Open(t.Context(), openVolume(t, image), volfs.Options{}); err == nil {
			t.Errorf("%s: Open takes it", name)
		}
	}
}
