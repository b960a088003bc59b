package tree

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/volfs"
)

// wideFS is a filesystem with a root folder, which has the inode number of that of ext4, and
// files in it with any inode numbers. A file's name is its inode number.
type wideFS struct {
	volfs.FS
	numbers []volfs.Ino
}

func (f wideFS) Root() volfs.Ino  { return 2 }
func (f wideFS) Close() error     { return nil }
func (f wideFS) Info() volfs.Info { return volfs.Info{Type: "ext4"} }

func (f wideFS) Stat(_ context.Context, ino volfs.Ino) (volfs.Attr, error) {
	mode := uint32(syscall.S_IFREG | 0o444)
	if ino == f.Root() {
		mode = syscall.S_IFDIR | 0o555
	}
	return volfs.Attr{Ino: ino, Mode: mode, Nlink: 1, Size: int64(len(fmt.Sprint(ino)))}, nil
}

func (f wideFS) Lookup(_ context.Context, _ volfs.Ino, name string) (ino volfs.Ino, err error) {
	_, err = fmt.Sscan(name, &ino)
	return ino, err
}

func (f wideFS) ReadDir(_ context.Context, _ volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	for i, ino := range f.numbers {
		if uint64(i) >= cookie && !emit(volfs.DirEntry{Name: fmt.Sprint(ino), Ino: ino, Cookie: uint64(i + 1)}) {
			break
		}
	}
	return nil
}

func (f wideFS) Open(_ context.Context, ino volfs.Ino) (volfs.File, error) {
	return textFile{strings.NewReader(fmt.Sprint(ino))}, nil
}

// wideTree is a tree of two volumes. Instead of the ext4 on them both show fs.
func wideTree(t *testing.T, fs wideFS) *Tree {
	t.Helper()
	reader := volfs.Reader{Name: "wide", Types: []string{"ext4"}, Open: func(context.Context, volfs.Volume, volfs.Options) (volfs.FS, error) {
		return fs, nil
	}}
	tree, err := New(t.Context(), []meta.Source{&named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID), volumeRecord("b", partsID)},
	}}}, Options{MaxActive: 2, Options: volume.Options{
		OpenTimeout: time.Second, Log: slog.New(slog.DiscardHandler),
		Readers: func(string) (volfs.Reader, bool) { return reader, true },
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

func TestFilesWithHighInodeNumbersAreShown(t *testing.T) {
	t.Parallel()
	fs := wideFS{numbers: []volfs.Ino{1 << 20, 1<<32 - 1, 1<<32 - 2, 1<<32 - 3, 1<<32 - 4, 1 << 32, 1<<32 + 1<<20, 1 << 35, 1<<36 - 4, 1<<36 - 1, 1 << 45, 1<<62 + 7, 1 << 63, 1<<63 + 1<<32, 1<<64 - 4}}
	tree := wideTree(t, fs)
	paths := make(map[uint64]string)
	for _, folder := range []string{"volumes/a", "volumes/b/p1"} {
		listed := entries(t, tree, folder, 0)
		if len(listed) != len(fs.numbers) {
			t.Fatalf("%s: %d entries are listed", folder, len(listed))
		}
		for _, d := range listed {
			path := folder + "/" + d.Name
			found, err := tree.Walk(t.Context(), RootID, path, true)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			e, err := tree.Stat(t.Context(), found.ID)
			if err != nil || e.ID != found.ID || e.Attr != found.Attr || uint64(e.Attr.Ino) != d.Ino {
				t.Errorf("%s: listed with inode number %d, found with %d, has %d: %v", path, d.Ino, found.Attr.Ino, e.Attr.Ino, err)
			}
			if fmt.Sprint(e.DiskIno) != d.Name {
				t.Errorf("%s: inode number %d on the disk", path, e.DiskIno)
			}
			if text := contentOf(t, tree, e); text != d.Name {
				t.Errorf("%s: contains %q", path, text)
			}
			if n := uint64(e.Attr.Ino); e.DiskIno < 1<<36-3 && n >= 1<<53 || n == 0 {
				t.Errorf("%s: inode number %#x", path, n)
			}
			if other, taken := paths[d.Ino]; taken {
				t.Errorf("%s and %s have inode number %d", path, other, d.Ino)
			}
			paths[d.Ino] = path
		}
	}
}

func TestFileWhoseInodeNumberIsTooHighIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	tree := wideTree(t, wideFS{numbers: []volfs.Ino{1<<64 - 1, 5}})
	if listed := names(t, tree, "volumes/a"); len(listed) != 2 {
		t.Errorf("%q is listed", listed)
	}
	if _, err := tree.Walk(t.Context(), RootID, fmt.Sprint("volumes/a/", uint64(1<<64-1)), true); err == nil || !strings.Contains(err.Error(), "too high") {
		t.Error(err)
	}
	if _, err := tree.Walk(t.Context(), RootID, "volumes/a/5", true); err != nil {
		t.Error(err)
	}
}
