package kernelfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// folder is an open folder with files and folders in it.
func folder(t *testing.T, paths ...string) *os.File {
	t.Helper()
	dir := t.TempDir()
	for _, p := range paths {
		p = filepath.Join(dir, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestPlacesOfHighInodeNumbersAreKept(t *testing.T) {
	t.Parallel()
	p := newPlaces(1<<32+1, false)
	p.keep(1<<32+1, "folder", 1<<33+7)
	p.keep(1<<33+7, "high", 1<<36)
	p.keep(1<<33+7, "low", 7)
	for ino, want := range map[volfs.Ino][]string{1<<32 + 1: nil, 1 << 36: {"folder", "high"}, 7: {"folder", "low"}} {
		if names, ok := p.path(ino); !ok || !slices.Equal(names, want) {
			t.Errorf("%d: %q, %v", ino, names, ok)
		}
	}
	if names, ok := p.path(1); ok {
		t.Errorf("1: %q", names)
	}
}

// inoOf returns the inode number of a path below an open folder.
func inoOf(t *testing.T, root *os.File, path string) volfs.Ino {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(root.Name(), path), &st); err != nil {
		t.Fatal(err)
	}
	return volfs.Ino(st.Ino)
}

func TestAnInodeThatWasNotSeenIsSearchedFor(t *testing.T) {
	t.Parallel()
	root := folder(t, "a/b/file", "c/other")
	p := newPlaces(inoOf(t, root, "."), false)
	ino := inoOf(t, root, "a/b/file")
	fd, err := p.open(t.Context(), root, ino, unix.O_PATH)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := sameInode(fd, ino); err != nil {
		t.Error("another file is opened")
	}
	if names, ok := p.path(inoOf(t, root, "c")); !ok || !slices.Equal(names, []string{"c"}) {
		t.Errorf("the file met on the way is at %q, %v", names, ok)
	}
}

func TestAnInodeThatIsNotThereIsSearchedForOnce(t *testing.T) {
	t.Parallel()
	root := folder(t, "a/b/file")
	p := newPlaces(inoOf(t, root, "."), false)
	for range 2 {
		if _, err := p.open(t.Context(), root, 1<<31-1, unix.O_PATH); err != unix.ENOENT {
			t.Errorf("error %v, want ENOENT", err)
		}
		// Files that are made later are not searched for: a read-only filesystem has none.
		if err := os.WriteFile(filepath.Join(root.Name(), "a/late"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := p.path(inoOf(t, root, "a/late")); ok {
		t.Error("a folder was walked through again")
	}
}

func TestAnInterruptedSearchContinues(t *testing.T) {
	t.Parallel()
	root := folder(t, "a/b/file")
	p := newPlaces(inoOf(t, root, "."), false)
	ended, end := context.WithCancel(t.Context())
	end()
	ino := inoOf(t, root, "a/b/file")
	if _, err := p.open(ended, root, ino, unix.O_PATH); err != context.Canceled {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	fd, err := p.open(t.Context(), root, ino, unix.O_PATH)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

func TestAnotherInodeInTheSamePlaceIsNotOpened(t *testing.T) {
	t.Parallel()
	root := folder(t, "a", "b")
	p := newPlaces(inoOf(t, root, "."), false)
	ino := inoOf(t, root, "a")
	p.keep(p.root, "a", ino)
	if err := os.Rename(filepath.Join(root.Name(), "b"), filepath.Join(root.Name(), "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.open(t.Context(), root, ino, unix.O_PATH); err != unix.ESTALE {
		t.Errorf("error %v, want ESTALE", err)
	}
}

func TestSymbolicLinkInAPathIsNotFollowed(t *testing.T) {
	t.Parallel()
	root := folder(t, "a/file")
	if err := os.Symlink("a", filepath.Join(root.Name(), "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := openPath(int(root.Fd()), []string{"link", "file"}, unix.O_PATH); err != unix.ELOOP {
		t.Errorf("error %v, want ELOOP", err)
	}
	fd, err := openPath(int(root.Fd()), []string{"link"}, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		t.Fatalf("the link itself: %v", err)
	}
	unix.Close(fd)
}

func TestAPathMayBeLongerThanASystemCallTakes(t *testing.T) {
	t.Parallel()
	root := folder(t)
	name := strings.Repeat("n", 255)
	var names []string
	for range 40 {
		at, err := openPath(int(root.Fd()), names, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Mkdirat(at, name, 0o755)
		unix.Close(at)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	fd, err := openPath(int(root.Fd()), names, unix.O_PATH)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

func TestAFolderInItselfHasNoEndlessPath(t *testing.T) {
	t.Parallel()
	const root, a, b = 1, 2, 3
	p := newPlaces(root, false)
	p.keep(root, "a", a)
	p.keep(a, "b", b)
	p.keep(b, "a", a)
	p.keep(b, "root", root)
	if names, ok := p.path(b); !ok || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("path %q, %v", names, ok)
	}
}

func TestMadeNumbersAreTheSameEachTimeAlsoIfTheyCollide(t *testing.T) {
	t.Parallel()
	const root = 1
	first := map[volfs.Ino]string{}
	var one, other string
	for i := 0; one == ""; i++ {
		name := fmt.Sprint(i)
		ino, _ := newPlaces(root, true).probe(root, name)
		one, other = first[volfs.Ino(ino)], name
		first[volfs.Ino(ino)] = name
	}
	var numbers [2][2]volfs.Ino
	for i := range numbers {
		p := newPlaces(root, true)
		p.make(root, one)
		p.make(root, other)
		for j, name := range []string{one, other} {
			var err error
			if numbers[i][j], err = p.of(root, name); err != nil {
				t.Fatal(err)
			}
			if names, ok := p.path(numbers[i][j]); !ok || !slices.Equal(names, []string{name}) {
				t.Errorf("%s is found as %q, %v", name, names, ok)
			}
		}
	}
	if numbers[0] != numbers[1] || numbers[0][0] == numbers[0][1] {
		t.Errorf("%s and %s have the numbers %v", one, other, numbers)
	}
}
