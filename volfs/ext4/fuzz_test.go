package ext4

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"thintree/volfs"
)

// smallImages makes filesystems of 128 to 256 KiB with a file of each kind that mke2fs can
// make.
func smallImages(tb testing.TB) []memVolume {
	tb.Helper()
	fill := func(dir string) {
		for _, d := range []string{"folder/deep/deeper", "many"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				tb.Fatal(err)
			}
		}
		writeFile(tb, filepath.Join(dir, "short"), "a few bytes")
		writeFile(tb, filepath.Join(dir, "folder/of 20K"), strings.Repeat("0123456789abcdef", 20<<10/16))
		for i := range 24 {
			writeFile(tb, filepath.Join(dir, "many", fmt.Sprintf("%02d %s", i, strings.Repeat("n", 90))), "")
		}
		for name, target := range map[string]string{"fast": "short", "slow": strings.Repeat("l/", 100)} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				tb.Fatal(err)
			}
		}
		sparse, err := os.Create(filepath.Join(dir, "sparse"))
		if err != nil {
			tb.Fatal(err)
		}
		defer sparse.Close()
		for i := range int64(6) {
			if _, err := sparse.WriteAt([]byte("data"), i*i*40<<10); err != nil {
				tb.Fatal(err)
			}
		}
	}
	var images []memVolume
	for _, args := range [][]string{
		{"-t", "ext4", "-b", "1024", "-O", "^has_journal,^metadata_csum,^resize_inode,^uninit_bg,ea_inode"},
		{"-t", "ext4", "-b", "1024", "-O", "^has_journal,^resize_inode,casefold,encrypt"},
		{"-t", "ext4", "-b", "1024", "-O", "^has_journal,^metadata_csum,^resize_inode,inline_data,large_dir,meta_bg", "-I", "256"},
		{"-t", "ext2", "-b", "1024", "-O", "^resize_inode"},
	} {
		image := makeImage(tb, "256K", fill, append(args, "-N", "64", "-m", "0")...)
		commands := []string{"ea_set short user.name value", "ea_set short security.capability v", "ea_set folder user.a b",
			"ea_set -f " + image + ".value short user.large"}
		writeFile(tb, image+".value", strings.Repeat("v", 700))
		debugfs(tb, image, commands...)
		program(tb, "sh", "-c", "PATH=$PATH:/usr/sbin; e2fsck -fyD "+image+" || test $? = 1") // makes hash indexes
		images = append(images, load(tb, image))
	}
	return images
}

// interesting returns the offsets in an image that are not zero.
func interesting(image memVolume) []int {
	var offsets []int
	for off := 0; off < len(image); off += 32 {
		if bytes.Count(image[off:off+32], []byte{0}) < 32 {
			for i := range 32 {
				offsets = append(offsets, off+i)
			}
		}
	}
	return offsets
}

// FuzzImage changes bytes of a good filesystem. Six bytes of patches are an index into the
// interesting offsets, and the bytes to put there.
func FuzzImage(f *testing.F) {
	images := smallImages(f)
	var offsets [][]int
	for _, image := range images {
		offsets = append(offsets, interesting(image))
	}
	for i := range images {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{10, 0, 0, 1, 200, 3, 200, 1, 0, 4, 0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, which uint8, patches []byte) {
		i := int(which) % len(images)
		v := slices.Clone(images[i])
		for ; len(patches) >= 6; patches = patches[6:] {
			at := offsets[i][int(binary.LittleEndian.Uint32(patches)&0xffffff)%len(offsets[i])]
			n := 1 + int(patches[3])%4
			copy(v[at:], bytes.Repeat(patches[4:6], 2)[:n])
		}
		start := time.Now()
		walkEverything(t, v)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// walkEverything calls every method for all that it finds in a volume, within a budget. It
// fails the test for impossible answers.
func walkEverything(t *testing.T, v volfs.Volume) {
	ctx := context.Background()
	fs, err := Open(ctx, v, volfs.Options{})
	if err != nil {
		wantErrno(t, err)
		return
	}
	defer fs.Close()
	fs.Info()
	_, err = fs.Statfs(ctx)
	wantErrno(t, err)
	w := &walk{t: t, fs: fs, budget: 3000}
	w.visit(fs.Root(), 0)
	for ino := range volfs.Ino(70) {
		w.file(ino)
	}
}

type walk struct {
	t      *testing.T
	fs     *FS
	budget int
}

func wantErrno(t *testing.T, err error) {
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		t.Errorf("%v has no errno", err)
	}
}

func (w *walk) visit(dir volfs.Ino, depth int) {
	ctx := context.Background()
	w.file(dir)
	var entries []volfs.DirEntry
	last := uint64(0)
	err := w.fs.ReadDir(ctx, dir, 0, func(e volfs.DirEntry) bool {
		if e.Cookie <= last {
			w.t.Errorf("cookie %d after %d", e.Cookie, last)
		}
		last = e.Cookie
		entries = append(entries, e)
		w.budget--
		return w.budget > 0
	})
	wantErrno(w.t, err)
	w.listAttrs(dir, entries)
	for i, e := range entries {
		if w.budget--; w.budget < 0 {
			return
		}
		if i%7 == 0 {
			w.resume(dir, entries, i)
		}
		if e.Name == "." || e.Name == ".." {
			continue
		}
		ino, err := w.fs.Lookup(ctx, dir, e.Name)
		wantErrno(w.t, err)
		if err != nil {
			continue
		}
		w.file(ino)
		if a, err := w.fs.Stat(ctx, ino); err == nil && a.Mode&syscall.S_IFMT == syscall.S_IFDIR && depth < 12 {
			w.visit(ino, depth+1)
		}
	}
}

// listAttrs lists a folder with attributes.
func (w *walk) listAttrs(dir volfs.Ino, want []volfs.DirEntry) {
	ctx := context.Background()
	i := 0
	err := w.fs.ReadDirAttrs(ctx, dir, 0, func(e volfs.DirEntry, attr *volfs.Attr) bool {
		if i == len(want) {
			return false
		}
		if e != want[i] {
			w.t.Errorf("entry %d is %+v with attributes, %+v without", i, e, want[i])
		}
		i++
		if a, err := w.fs.Stat(ctx, e.Ino); attr != nil && (err != nil || a != *attr) {
			w.t.Errorf("entry %+v is listed with %+v, but is %+v, %v", e, *attr, a, err)
		}
		return true
	})
	wantErrno(w.t, err)
	if i < len(want) {
		w.t.Errorf("%d entries with attributes, %d without: %v", i, len(want), err)
	}
}

// resume lists a folder from a cookie, and from one that no listing has returned.
func (w *walk) resume(dir volfs.Ino, entries []volfs.DirEntry, i int) {
	var next *volfs.DirEntry
	_ = w.fs.ReadDir(context.Background(), dir, entries[i].Cookie, func(e volfs.DirEntry) bool {
		next = &e
		return false
	})
	if i+1 < len(entries) && (next == nil || *next != entries[i+1]) {
		w.t.Errorf("after %+v comes %+v, want %+v", entries[i], next, entries[i+1])
	}
	_ = w.fs.ReadDir(context.Background(), dir, entries[i].Cookie*2654435761, func(volfs.DirEntry) bool { return false })
}

func (w *walk) file(ino volfs.Ino) {
	ctx := context.Background()
	a, err := w.fs.Stat(ctx, ino)
	wantErrno(w.t, err)
	_, err = w.fs.Readlink(ctx, ino)
	wantErrno(w.t, err)
	list, err := w.fs.Xattrs(ctx, ino)
	wantErrno(w.t, err)
	for _, name := range list {
		_, err := w.fs.Xattr(ctx, ino, name)
		wantErrno(w.t, err)
	}
	f, err := w.fs.Open(ctx, ino)
	wantErrno(w.t, err)
	if err != nil {
		return
	}
	defer f.Close()
	p := make([]byte, 5000)
	for _, off := range []int64{0, 1023, 12 << 10, 300 << 10, a.Size - 100, 1 << 50} {
		n, err := f.ReadAt(ctx, p, off)
		if n < len(p) && err == nil {
			w.t.Errorf("ReadAt gave %d of %d bytes and no error", n, len(p))
		}
	}
	off := int64(0)
	for range 50 {
		data, err := f.NextData(ctx, off)
		if err != nil {
			break
		}
		if off, err = f.NextHole(ctx, data); err != nil {
			break
		}
		if off <= data || off > a.Size {
			w.t.Errorf("NextHole(%d) = %d of %d", data, off, a.Size)
		}
	}
}
