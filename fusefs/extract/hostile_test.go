package extract

import (
	"log/slog"
	"os"
	"testing"

	"pgregory.net/rapid"

	"thintree/fusefs/tree"
)

func TestEntriesWithInvalidNamesAreLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := fake{1: folderOf(fakeEntry{"good", 2}), 2: file("x"), 3: folderOf(fakeEntry{"f", 2})}
	bad := []string{"", "../up", "/abs", "a/b", "a/", "nul\x00", "../../up"}
	for _, name := range bad {
		s[1].entries = append(s[1].entries, fakeEntry{name, 2}, fakeEntry{name, 3})
	}
	if r := extractAll(t, s, dir+"/copy"); r != (Result{Unreadable: 2 * len(bad)}) {
		t.Errorf("%+v", r)
	}
	wantNames(t, dir, "copy", "copy/good")
}

func TestCopiedLinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, merged := range []bool{false, true} {
		dir := t.TempDir()
		for _, d := range []string{"/outside", "/in"} {
			if err := os.Mkdir(dir+d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if merged {
			if err := os.Mkdir(dir+"/in/copy", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		s := fake{
			1: folderOf(fakeEntry{"x", 2}, fakeEntry{"x", 3}, fakeEntry{"y", 5}, fakeEntry{"y", 4}),
			2: symlink(dir + "/outside"), 3: folderOf(fakeEntry{"f", 4}), 4: file("x"), 5: symlink(dir + "/outside/g"),
		}
		r := extractAll(t, s, dir+"/in")
		// One of two entries with the same name is left out; which one is not specified.
		if r.Unreadable == 0 {
			t.Errorf("merged %v: %+v", merged, r)
		}
		wantNames(t, dir+"/outside")
	}
}

func TestFolderInItselfIsCopiedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := fake{1: folderOf(fakeEntry{"d", 2}, fakeEntry{"self", 1}), 2: folderOf(fakeEntry{"up", 1}, fakeEntry{"self", 2})}
	if r := extractAll(t, s, dir); r != (Result{Unreadable: 3}) {
		t.Errorf("%+v", r)
	}
	wantNames(t, dir, "copy", "copy/d")
}

func TestHardLinkIsNotMadeToAnotherFileWithTheName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, other := file("a"), file("other")
	a.attr.Nlink = 2
	s := fake{1: folderOf(fakeEntry{"d", 2}, fakeEntry{"b", 4}), 2: folderOf(fakeEntry{"a", 4}, fakeEntry{"last", 5}), 4: a, 5: other}
	other.onRead = func() {
		// Another process replaces the copy.
		if err := os.WriteFile(dir+"/new", []byte("wrong"), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(dir+"/new", dir+"/copy/d/a"); err != nil {
			t.Error(err)
		}
	}
	if r := extractAll(t, s, dir); r != (Result{NotHeld: Losses{HardLinks: 1}}) {
		t.Errorf("%+v", r)
	}
	if got := read(t, dir+"/copy/b"); got != "a" {
		t.Errorf("b holds %q", got)
	}
	wantNames(t, dir, "copy", "copy/d", "copy/d/a", "copy/d/last", "copy/b")
}

// TestAnyTreeStaysInDest copies trees that no filesystem has, each twice.
func TestAnyTreeStaysInDest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		for _, d := range []string{"/outside", "/in"} {
			if err := os.Mkdir(dir+d, 0o755); err != nil {
				rt.Fatal(err)
			}
		}
		s := fake{1: folderOf()}
		ids := rapid.Uint64Range(1, 8)
		for id := tree.NodeID(2); id < 8; id++ {
			switch rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0:
				s[id] = file("x")
			case 1:
				s[id] = symlink(rapid.SampledFrom([]string{dir + "/outside", "../../outside", "..", "a", dir + "/outside/f"}).Draw(rt, "target"))
			case 2:
				s[id] = folderOf()
			}
			s[id].attr.Nlink = uint32(rapid.IntRange(0, 3).Draw(rt, "nlink"))
		}
		for id := range tree.NodeID(8) {
			n := s[id]
			if n == nil || !isFolder(n.attr) {
				continue
			}
			for range rapid.IntRange(0, 8).Draw(rt, "entries") {
				name := rapid.SampledFrom([]string{"a", "b", "c", "..", "../a", "../../outside/f", "."}).Draw(rt, "name")
				n.entries = append(n.entries, fakeEntry{name, tree.NodeID(ids.Draw(rt, "id"))})
			}
		}
		for range 2 {
			// Copy may fail: a file does not replace a folder, nor a folder a file.
			_, _ = copyFrom(t.Context(), s, 1, dir+"/in/copy", Options{Log: slog.New(slog.DiscardHandler)})
		}
		for d, want := range map[string]string{"/outside": "", "/in": "copy"} {
			found, err := os.ReadDir(dir + d)
			if err != nil {
				rt.Fatal(err)
			}
			got := ""
			for _, e := range found {
				got += e.Name()
			}
			if got != want {
				rt.Fatalf("%[2]s has %[1]q", got, d)
			}
		}
	})
}
