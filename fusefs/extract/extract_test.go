package extract

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
)

func TestDestIsFolderOrNewName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := fake{1: file("hello")}
	extractAll(t, s, dir)
	extractAll(t, s, dir+"/new")
	if err := os.Symlink(".", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	extractAll(t, s, dir+"/link/other")
	extractAll(t, fake{1: folderOf()}, dir+"/folder/")
	wantNames(t, dir, "copy", "new", "link", "other", "folder")
	if got := read(t, dir+"/new"); got != "hello" {
		t.Errorf("copied %q", got)
	}
	_, err := copyFrom(t.Context(), s, 1, dir+"/missing/", Options{})
	wantErr(t, err, syscall.ENOENT)
	_, err = copyFrom(t.Context(), s, 1, dir+"/missing/new", Options{})
	wantErr(t, err, syscall.ENOENT)
	_, err = copyFrom(t.Context(), s, 1, dir, Options{Name: ".."})
	wantErr(t, err, syscall.EINVAL)
}

func TestExistingFileIsReplacedAndNotWrittenTo(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(old, dest string) error{
		"file":          os.Link,
		"link":          os.Symlink,
		"dangling link": func(_, dest string) error { return os.Symlink("nowhere", dest) },
		"fifo":          func(_, dest string) error { return unix.Mkfifo(dest, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(dir+"/old", []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := prepare(dir+"/old", dir+"/dest"); err != nil {
				t.Fatal(err)
			}
			extractAll(t, fake{1: file("new")}, dir+"/dest")
			if got := read(t, dir+"/dest"); got != "new" {
				t.Errorf("dest holds %q", got)
			}
			if got := read(t, dir+"/old"); got != "old" {
				t.Errorf("the old file holds %q", got)
			}
			wantNames(t, dir, "old", "dest")
		})
	}
}

func TestFoldersAreMerged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	extractAll(t, fake{1: folderOf(fakeEntry{"a", 2}, fakeEntry{"d", 3}), 2: file("a1"), 3: folderOf(fakeEntry{"b", 2})}, dir)
	extractAll(t, fake{1: folderOf(fakeEntry{"c", 2}, fakeEntry{"d", 3}), 2: file("a2"), 3: folderOf(fakeEntry{"b", 2}, fakeEntry{"e", 2})}, dir)
	wantNames(t, dir, "copy", "copy/a", "copy/c", "copy/d", "copy/d/b", "copy/d/e")
	if got := read(t, dir+"/copy/a") + read(t, dir+"/copy/d/b"); got != "a1a2" {
		t.Errorf("the files hold %q", got)
	}
}

func TestFolderAndFileDoNotReplaceEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	extractAll(t, fake{1: folderOf(fakeEntry{"d", 2}, fakeEntry{"f", 3}, fakeEntry{"l", 4}), 2: folderOf(), 3: file("x"), 4: symlink("d")}, dir)
	for name, want := range map[string]error{"d": syscall.EISDIR, "f": syscall.ENOTDIR, "l": syscall.ENOTDIR} {
		s := fake{1: folderOf(fakeEntry{name, 2}), 2: folderOf()}
		if name == "d" {
			s[2] = file("y")
		}
		_, err := copyFrom(t.Context(), s, 1, dir, Options{Name: "copy"})
		wantErr(t, err, want)
		if err != nil && !strings.Contains(err.Error(), dir+"/copy/"+name) {
			t.Errorf("%v does not name the path", err)
		}
	}
	wantNames(t, dir, "copy", "copy/d", "copy/f", "copy/l")
}

func TestHolesAreKept(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	n := file("")
	n.attr.Size = size
	n.data = []extent{{1 << 20, strings.Repeat("x", 3<<20)}, {8 << 20, "middle"}}
	dest := filepath.Join(t.TempDir(), "f")
	extractAll(t, fake{1: n}, dest)
	got, err := os.ReadFile(dest)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, size)
	for _, x := range n.data {
		copy(want[x.off:], x.bytes)
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes differ")
	}
	if b := lstat(t, dest).Blocks * 512; b > 4<<20 {
		t.Errorf("the copy takes %d bytes of disk", b)
	}
}

func TestHardLinksAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, l := file("x"), symlink("y")
	f.attr.Nlink, l.attr.Nlink = 3, 2
	s := fake{
		1: folderOf(fakeEntry{"a", 2}, fakeEntry{"l1", 3}, fakeEntry{"d", 4}, fakeEntry{"l2", 3}, fakeEntry{"b", 2}),
		2: f, 3: l, 4: folderOf(fakeEntry{"e", 5}), 5: folderOf(fakeEntry{"c", 2}),
	}
	for range 2 { // the second copy replaces the first
		extractAll(t, s, dir)
		a := lstat(t, dir+"/copy/a")
		if a.Nlink != 3 || a.Ino != lstat(t, dir+"/copy/b").Ino || a.Ino != lstat(t, dir+"/copy/d/e/c").Ino {
			t.Errorf("a has %d names", a.Nlink)
		}
		if l := lstat(t, dir+"/copy/l1"); l.Nlink != 2 || l.Ino != lstat(t, dir+"/copy/l2").Ino {
			t.Errorf("l1 has %d names", l.Nlink)
		}
	}
}

func TestDeepFoldersAreCopied(t *testing.T) {
	t.Parallel()
	const depth = 2*maxOpen + 10
	s := fake{}
	for i := tree.NodeID(1); i <= depth; i++ {
		// There are entries after the folder, so its parent is needed again.
		s[i] = folderOf(fakeEntry{"a", 1000}, fakeEntry{"d", i + 1}, fakeEntry{"e", i + 2000}, fakeEntry{"z", 1000})
		s[i+2000] = folderOf(fakeEntry{"f", 1000})
	}
	s[depth+1] = folderOf()
	s[1000] = file("x")
	s[1000].attr.Nlink = 3 * depth
	dir := t.TempDir()
	if r := extractAll(t, s, dir); r != (Result{}) {
		t.Errorf("%+v", r)
	}
	path := dir + "/copy"
	for range depth {
		if lstat(t, path+"/z").Ino != lstat(t, path+"/e/f").Ino {
			t.Fatalf("%s: a link was not kept", path)
		}
		if m := lstat(t, path).Mtim; m.Sec != someTime.Sec || m.Nsec != int64(someTime.Nsec) {
			t.Fatalf("%s: modified at %v", path, m)
		}
		path += "/d"
	}
}

func TestManyFilesAreCopied(t *testing.T) {
	t.Parallel()
	s := fake{1: folderOf()}
	for i := range tree.NodeID(400) {
		s[i+2] = file(strings.Repeat("x", int(i)))
		s[1].entries = append(s[1].entries, fakeEntry{"f" + strings.Repeat("0", int(i%200)) + string(rune('a'+i/200)), i + 2})
	}
	dir := t.TempDir()
	if r := extractAll(t, s, dir); r != (Result{}) {
		t.Errorf("%+v", r)
	}
	for _, e := range s[1].entries {
		if got := read(t, dir+"/copy/"+e.name); int64(len(got)) != s[e.id].attr.Size {
			t.Errorf("%s has %d bytes", e.name, len(got))
		}
	}
}

func TestCancelLeavesNoPartOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	big := file(strings.Repeat("x", 5<<20))
	reads := 0
	big.onRead = func() {
		if reads++; reads == 3 {
			cancel()
		}
	}
	_, err := copyFrom(ctx, fake{1: folderOf(fakeEntry{"big", 2}), 2: big}, 1, dir, Options{Name: "copy"})
	wantErr(t, err, context.Canceled)
	wantNames(t, dir, "copy")
}

func TestProgressIsSize(t *testing.T) {
	t.Parallel()
	sparse, linked, broken := file(""), file("linked"), file("broken")
	sparse.attr.Size = 10 << 20
	sparse.data = []extent{{3 << 20, "x"}}
	linked.attr.Nlink = 2
	broken.failAt = 3
	s := fake{
		1: folderOf(fakeEntry{"a", 2}, fakeEntry{"b", 3}, fakeEntry{"c", 3}, fakeEntry{"d", 4}, fakeEntry{"e", 5}),
		2: sparse, 3: linked, 4: broken, 5: folderOf(fakeEntry{"f", 2}, fakeEntry{"up", 1}),
	}
	var done int64
	_, err := copyFrom(t.Context(), s, 1, t.TempDir(), Options{Name: "copy", Log: new(logged).logger(), Progress: func(n int64) { done += n }})
	if err != nil {
		t.Fatal(err)
	}
	size, err := sizeOf(t.Context(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(20<<20 + 6 + 6 + 6); size != want || done != want {
		t.Errorf("size %d and progress %d instead of %d", size, done, want)
	}
}
