package extract

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestUnreadableFileIsLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := file(strings.Repeat("x", 3<<20))
	bad.failAt = 2<<20 + 5
	short := file("short")
	short.attr.Size = 100
	short.data = []extent{{0, strings.Repeat("y", 200)}}
	negative := file("")
	negative.attr.Size = -1
	s := fake{
		1: folderOf(fakeEntry{"bad", 2}, fakeEntry{"good", 3}, fakeEntry{"lost", 99}, fakeEntry{"neg", 4}, fakeEntry{"odd", 5}, fakeEntry{"nolink", 6}),
		2: bad, 3: file("good"), 4: negative, 5: special(0o644, 0), 6: symlink(""),
	}
	var log logged
	r, err := copyFrom(t.Context(), s, 1, dir, Options{Name: "copy", Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if r != (Result{Unreadable: 5}) {
		t.Errorf("%+v", r)
	}
	wantNames(t, dir, "copy", "copy/good")
	for _, name := range []string{"bad", "lost", "neg", "odd", "nolink"} {
		if !strings.Contains(log.String(), dir+"/copy/"+name+" ") {
			t.Errorf("the log does not name %s:\n%s", name, log.String())
		}
	}
}

func TestUnreadableFileReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/copy", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := file("new, but damaged")
	bad.failAt = 5
	if r := extractAll(t, fake{1: bad}, dir); r.Unreadable != 1 {
		t.Errorf("%+v", r)
	}
	if got := read(t, dir+"/copy"); got != "old" {
		t.Errorf("it holds %q", got)
	}
	wantNames(t, dir, "copy")
}

func TestUnreadableFolderIsCopiedAsFarAsItCanBeListed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty, half := folderOf(), folderOf(fakeEntry{"f", 3})
	empty.endErr, half.endErr = syscall.EIO, syscall.EIO
	s := fake{1: folderOf(fakeEntry{"empty", 2}, fakeEntry{"half", 4}, fakeEntry{"f", 3}), 2: empty, 3: file("x"), 4: half}
	if r := extractAll(t, s, dir); r.Unreadable != 2 {
		t.Errorf("%+v", r)
	}
	wantNames(t, dir, "copy", "copy/half", "copy/half/f", "copy/f")
}

func TestFileThatCannotBeOpenedIsLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closed, locked := folderOf(fakeEntry{"f", 4}), file("x")
	closed.openErr, locked.openErr = syscall.EMEDIUMTYPE, syscall.ENOKEY
	s := fake{1: folderOf(fakeEntry{"closed", 2}, fakeEntry{"locked", 3}), 2: closed, 3: locked, 4: file("x")}
	if r := extractAll(t, s, dir); r != (Result{Unreadable: 2}) {
		t.Errorf("%+v", r)
	}
	wantNames(t, dir, "copy")
	_, err := copyFrom(t.Context(), s, 2, dir, Options{Name: "closed"})
	wantErr(t, err, syscall.EMEDIUMTYPE)
	wantNames(t, dir, "copy")
}

func TestUnreadableXattrIsCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := file("x")
	f.xattrs = map[string]string{"user.a": "unreadable"}
	if r := extractAll(t, fake{1: f}, dir); r.Unreadable != 1 {
		t.Errorf("%+v", r)
	}
	wantNames(t, dir, "copy")
}

func TestFileTooLargeForDestIsLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	huge := file("x")
	huge.attr.Size = 1<<63 - 1
	long := strings.Repeat("n", 300)
	s := fake{1: folderOf(fakeEntry{"huge", 2}, fakeEntry{long, 3}, fakeEntry{"f", 3}), 2: huge, 3: file("x")}
	r := extractAll(t, s, dir)
	if r.Unreadable == 0 {
		t.Errorf("%+v", r)
	}
	if got := read(t, dir+"/copy/f"); got != "x" {
		t.Errorf("f holds %q", got)
	}
	if _, err := os.Lstat(dir + "/copy/" + long); err == nil {
		t.Error("a name of 300 bytes was made")
	}
}
