package extract

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"thintree/fusefs/tree"
	"thintree/volfs"
)

// fake is a source in memory.
type fake map[tree.NodeID]*fakeNode

type fakeNode struct {
	attr    volfs.Attr
	target  string
	xattrs  map[string]string
	entries []fakeEntry
	openErr error
	// endErr is the error at the end of a listing.
	endErr error

	data []extent
	// failAt is the offset of a byte that cannot be read, if above 0.
	failAt int64
	onRead func()
}

type fakeEntry struct {
	name string
	id   tree.NodeID
}

type extent struct {
	off   int64
	bytes string
}

var (
	someTime  = volfs.Time{Sec: 1_500_000_000, Nsec: 123_456_789}
	otherTime = volfs.Time{Sec: 1_400_000_000, Nsec: 987_654_321}
)

func attrs(mode uint32) volfs.Attr {
	return volfs.Attr{
		Mode: mode, Nlink: 1, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()),
		Atime: otherTime, Mtime: someTime,
	}
}

func file(content string) *fakeNode {
	n := &fakeNode{attr: attrs(syscall.S_IFREG | 0o644), data: []extent{{0, content}}}
	n.attr.Size = int64(len(content))
	return n
}

func symlink(target string) *fakeNode {
	return &fakeNode{attr: attrs(syscall.S_IFLNK | 0o777), target: target}
}

func special(mode uint32, rdev uint64) *fakeNode {
	n := &fakeNode{attr: attrs(mode)}
	n.attr.Rdev = rdev
	return n
}

func folderOf(entries ...fakeEntry) *fakeNode {
	return &fakeNode{attr: attrs(syscall.S_IFDIR | 0o755), entries: entries}
}

func (s fake) Stat(ctx context.Context, id tree.NodeID) (tree.Entry, error) {
	n := s[id]
	if n == nil {
		return tree.Entry{}, syscall.EIO
	}
	e := tree.Entry{ID: id, Attr: n.attr}
	e.Attr.HasXattrs = len(n.xattrs) > 0
	return e, ctx.Err()
}

func (s fake) Lookup(ctx context.Context, dir tree.NodeID, name string) (tree.Entry, error) {
	for _, e := range s[dir].entries {
		if e.name == name {
			return s.Stat(ctx, e.id)
		}
	}
	return tree.Entry{}, syscall.ENOENT
}

func (s fake) Readlink(ctx context.Context, id tree.NodeID) (string, error) {
	return s[id].target, ctx.Err()
}

func (s fake) Xattrs(_ context.Context, id tree.NodeID) (names []string, err error) {
	for name := range s[id].xattrs {
		names = append(names, name)
	}
	return names, nil
}

func (s fake) Xattr(_ context.Context, id tree.NodeID, name string) ([]byte, error) {
	value := s[id].xattrs[name]
	if value == "unreadable" {
		return nil, syscall.EIO
	}
	return []byte(value), nil
}

func (s fake) open(ctx context.Context, id tree.NodeID) (volfs.File, error) {
	return fakeFile{s[id]}, cmp.Or(s[id].openErr, ctx.Err())
}

func (s fake) openDir(ctx context.Context, id tree.NodeID) (dir, error) {
	return fakeDir{s, s[id]}, cmp.Or(s[id].openErr, ctx.Err())
}

type fakeDir struct {
	fake
	node *fakeNode
}

func (d fakeDir) ReadDir(ctx context.Context, cookie uint64, _ bool, emit func(tree.DirEntry) bool) error {
	all := append([]fakeEntry{{".", 0}, {"..", 0}}, d.node.entries...)
	for i := cookie; i < uint64(len(all)); i++ {
		out := tree.DirEntry{Name: all[i].name, Cookie: i + 1}
		if e, err := d.Stat(ctx, all[i].id); err == nil {
			out.Entry = &e
		}
		if !emit(out) {
			return nil
		}
	}
	return d.node.endErr
}

func (fakeDir) Close() error { return nil }

type fakeFile struct{ node *fakeNode }

func (f fakeFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if f.node.onRead != nil {
		f.node.onRead()
	}
	if at := f.node.failAt; at > 0 && off <= at && at < off+int64(len(p)) {
		return int(at - off), syscall.EIO
	}
	clear(p)
	for _, x := range f.node.data {
		if x.off < off+int64(len(p)) && x.off+int64(len(x.bytes)) > off {
			copy(p[max(0, x.off-off):], x.bytes[max(0, off-x.off):])
		}
	}
	n := min(int64(len(p)), f.node.attr.Size-off)
	if n < int64(len(p)) {
		return int(max(n, 0)), io.EOF
	}
	return len(p), nil
}

func (f fakeFile) NextData(_ context.Context, off int64) (int64, error) {
	for _, x := range f.node.data {
		if end := x.off + int64(len(x.bytes)); end > off {
			return max(off, x.off), nil
		}
	}
	return 0, io.EOF
}

func (f fakeFile) NextHole(_ context.Context, off int64) (int64, error) {
	for _, x := range f.node.data {
		if end := x.off + int64(len(x.bytes)); x.off <= off && off < end {
			return end, nil
		}
	}
	return off, nil
}

func (fakeFile) Close() error { return nil }

// logged is a log in memory.
type logged struct{ strings.Builder }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// extractAll copies node 1 of s to dest, without an error.
func extractAll(t *testing.T, s fake, dest string) Result {
	t.Helper()
	r, err := copyFrom(t.Context(), s, 1, dest, Options{Name: "copy", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read reads a file of the copy. It follows no link.
func read(t *testing.T, path string) string {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantNames checks the paths of all files below dir.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			rel, _ := filepath.Rel(dir, path)
			got = append(got, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("there is %q instead of %q", got, want)
	}
}

func lstat(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return &st
}

func wantErr(t *testing.T, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, not %v", err, want)
	}
}
