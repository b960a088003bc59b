package docker

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRemappedRootsAreNamed(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "100000.100000")
	if err := os.Rename(r.dir, root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1.2", "tmp", "1.x", "containers"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := "docker:" + dir + ": remapped roots lie in it (userns-remap): name one of them: docker:" + root
	if found, err := System.Recognise(t.Context(), dir); found || err == nil || err.Error() != want {
		t.Errorf("%v, %v\nwant %s", found, err, want)
	}
	if _, err := New(dir, Options{}).Load(t.Context()); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if found, err := System.Recognise(t.Context(), root); !found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	if cat, err := New(root, Options{}).Load(t.Context()); err != nil || len(cat.Volumes) != 1 {
		t.Error(err)
	}
}

func TestRootWithAStoreIsShownBesideRemappedOnes(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.write("", "1000.1000", recordsDir, "base")
	if found, err := System.Recognise(t.Context(), r.dir); !found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	r.load(0)
}
