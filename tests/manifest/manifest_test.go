package manifest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/volfs"
)

func take(t *testing.T, fs volfs.FS, o Options) Manifest {
	t.Helper()
	m, err := OfFS(t.Context(), fs, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestBothWaysTellTheSame(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	for _, o := range []Options{{}, {More: true}, {More: true, SparseAbove: 1 << 20}} {
		want, err := OfDir(t.Context(), root, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(want) != 210 {
			t.Errorf("%d entries", len(want))
		}
		if diff := Diff(want, take(t, newDirFS(t, root), o)); diff != "" {
			t.Errorf("%+v: %s", o, diff)
		}
	}
}

func TestLinesAreReadBack(t *testing.T) {
	t.Parallel()
	want := Manifest{
		{Path: ".", Mode: 0o40755, Nlink: 3, Size: 4096, Blocks: 8, Mtime: volfs.Time{Sec: -5, Nsec: 6}, Content: "-", Xattrs: "-"},
		{Path: "a \"b\"\n\xff", Mode: 0o104755, UID: 1<<32 - 2, GID: 70000, Nlink: 1, Ctime: volfs.Time{Sec: 1 << 40, Nsec: 999_999_999}, Content: "00ff", Xattrs: `user.a "b",c=00,user.d=ff`},
		{Path: "link", Mode: 0o120777, Content: `"to \"x\" y"`, Xattrs: "-"},
		{Path: "device", Mode: 0o60660, Rdev: 0x12345678, Content: "-", Xattrs: "-"},
		{Path: "unread", Mode: 0o100644, Content: "!input/output error", Xattrs: "-"},
		{Path: "broken \"", Err: "!structure needs cleaning"},
	}
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestALineIsInTheDocumentedForm(t *testing.T) {
	t.Parallel()
	m := Manifest{{Path: "a", Mode: 0o104644, UID: 1, GID: 2, Nlink: 3, Size: 4, Blocks: 5, Mtime: volfs.Time{Sec: 6, Nsec: 7}, Ctime: volfs.Time{Sec: 8, Nsec: 9}, Rdev: 0xab, Content: "c", Xattrs: "x=00"}}
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	if want := "10 4644 1 2 3 4 5 6.000000007 8.000000009 ab c x=00 \"a\"\n"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

func TestWhatIsNoLineIsAnError(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"x", "! unquoted", `10 0644 "a"`, `10 0644 0 0 1 0 0 x 1.0 0 - - "a"`, `10 0644 0 0 1 0 0 1.0 1.0 0 - - "a`} {
		if _, err := Read(strings.NewReader(line)); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}

func TestDiffReportsEachDifference(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	want := take(t, newDirFS(t, root), Options{More: true})
	lie := newDirFS(t, root)
	lie.stat = func(path string, a *volfs.Attr) {
		if strings.HasSuffix(path, "/fifo") {
			a.UID, a.Btime.Sec = 12345, 6
		}
	}
	lie.readDir = func(entries []volfs.DirEntry) []volfs.DirEntry {
		return slices.DeleteFunc(entries, func(d volfs.DirEntry) bool { return d.Name == "z7" })
	}
	diff := Diff(want, take(t, lie, Options{More: true}))
	for _, part := range []string{`"fifo": uid 12345, want `, `"fifo": btime 6.`, `"folder/in it": lacks entry "z7" `, `"folder/in it/z7": missing`} {
		if !strings.Contains(diff, part) {
			t.Errorf("the difference lacks %q:\n%s", part, diff)
		}
	}
	if n := strings.Count(diff, "\n"); n != 3 {
		t.Errorf("%d lines more than 4:\n%s", n-3, diff)
	}
}

func TestUntrueForgivesOnlyErrors(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	want := take(t, newDirFS(t, root), Options{More: true})
	for _, c := range []struct {
		name   string
		change func(m Manifest) Manifest
		true   bool
	}{
		{"the same", func(m Manifest) Manifest { return m }, true},
		{"a file that failed", func(m Manifest) Manifest { m.find(t, "sparse").Content = "!input/output error"; return m }, true},
		{"other content", func(m Manifest) Manifest { m.find(t, "sparse").Content = "00"; return m }, false},
		{"an inode that failed", func(m Manifest) Manifest { *m.find(t, "fifo") = Entry{Path: "fifo", Err: "!x"}; return m }, true},
		{"a file too many", func(m Manifest) Manifest { return append(m, Entry{Path: "x"}) }, false},
		{"a file too few", func(m Manifest) Manifest { return m[:len(m)-1] }, false},
		{"a listing that failed", func(m Manifest) Manifest { return append(m[:len(m)-1], Entry{Path: ".", Err: "!x"}) }, true},
	} {
		if untrue := Untrue(want, c.change(slices.Clone(want))); (untrue == "") != c.true {
			t.Errorf("%s: %q", c.name, untrue)
		}
	}
}

func TestCheckFolderFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	root := newTree(t)
	for _, c := range []struct {
		name string
		lie  func(d *dirFS)
		want string // of the error; "" for none
	}{
		{"nothing", func(*dirFS) {}, ""},
		{"a listed name is not found", func(d *dirFS) {
			d.lookup = func(ino volfs.Ino, name string, err error) (volfs.Ino, error) {
				if name == "z99" {
					return 0, syscall.ENOENT
				}
				return ino, err
			}
		}, `Lookup("z99")`},
		{"an absent name is found", func(d *dirFS) {
			d.lookup = func(ino volfs.Ino, name string, err error) (volfs.Ino, error) {
				if errors.Is(err, syscall.ENOENT) && len(name) > 2 {
					return 1, nil
				}
				return ino, err
			}
		}, "not listed"},
		{"cookies repeat", func(d *dirFS) {
			d.readDir = func(entries []volfs.DirEntry) []volfs.DirEntry {
				entries[5].Cookie = entries[4].Cookie
				return entries
			}
		}, "cookie"},
		{"no dots", func(d *dirFS) {
			d.readDir = func(entries []volfs.DirEntry) []volfs.DirEntry {
				return slices.DeleteFunc(entries, func(e volfs.DirEntry) bool { return e.Name == ".." })
			}
		}, "not both listed"},
	} {
		d := newDirFS(t, root)
		c.lie(d)
		var folder volfs.Ino
		for ino, path := range d.paths {
			if strings.HasSuffix(path, "/in it") {
				folder = ino
			}
		}
		err := CheckFolder(t.Context(), d, folder)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCheckFileAgreesWithTheKernel(t *testing.T) {
	t.Parallel()
	fs := newDirFS(t, newTree(t))
	for ino, path := range fs.paths {
		a, err := fs.Stat(t.Context(), ino)
		if err != nil {
			t.Fatal(err)
		}
		if a.Mode&syscall.S_IFMT == syscall.S_IFREG {
			if err := CheckFile(t.Context(), fs, a); err != nil {
				t.Errorf("%q: %v", path, err)
			}
		}
		if a.Mode&syscall.S_IFMT != syscall.S_IFLNK { // which a path of the host follows
			if err := CheckKind(t.Context(), fs, a); err != nil {
				t.Errorf("%q: %v", path, err)
			}
		}
	}
}

func TestReadThatBreaksItsContractIsReported(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]source{
		"short without an error": brokenFile{n: 3},
		"data beyond the end":    brokenFile{n: 100},
	} {
		if c, err := content(t.Context(), f, 10, Options{}); err == nil {
			t.Errorf("%s: %s", name, c)
		}
	}
	if x, err := dataMap(t.Context(), brokenFile{}, 10); err == nil {
		t.Errorf("a map without an end: %v", x)
	}
}

// brokenFile reads at most n bytes, wherever, and finds no hole.
type brokenFile struct{ n int }

func (f brokenFile) ReadAt(_ context.Context, p []byte, _ int64) (int, error) {
	return min(f.n, len(p)), nil
}
func (f brokenFile) NextData(_ context.Context, off int64) (int64, error) { return off, nil }
func (f brokenFile) NextHole(_ context.Context, off int64) (int64, error) { return off, nil }
