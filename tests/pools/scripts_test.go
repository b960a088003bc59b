package pools

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// named lists the files of testdata with an ending, by their names without it.
func named(t *testing.T, ending string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*" + ending)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ending))
	}
	return names
}

func TestEachPoolHasItsScript(t *testing.T) {
	t.Parallel()
	archives := slices.DeleteFunc(named(t, ".tar.zst"), func(name string) bool { return name == "truth" }) // holds no pool
	scripts := named(t, ".sh")
	if !slices.Equal(archives, scripts) || len(archives) == 0 {
		t.Errorf("pools %q, scripts %q", archives, scripts)
	}
	for _, name := range scripts {
		info, err := os.Stat("testdata/" + name + ".sh")
		if err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be run: %v", name, err)
		}
	}
}
