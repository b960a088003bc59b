package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows say what a package of the module may import of it, but for its tests,
// which may import more. A name that ends in /... stands for the packages below
// it too. A package that stands in no row has no place in the layers.
var arrows = []struct {
	name string
	may  []string
}{
	{"", []string{"cli"}},
	{"cli", []string{"fusefs", "fusefs/bytejson", "fusefs/extract", "fusefs/mounts", "fusefs/tree", "meta/...", "thin", "thin/block", "thin/deviceset", "thin/dm", "thin/lend", "thin/resolve", "volfs/..."}},
	{"fusefs", []string{"fusefs/capability", "fusefs/mounts", "fusefs/tree", "volfs"}},
	{"fusefs/extract", []string{"fusefs/capability", "fusefs/tree", "volfs"}},
	{"fusefs/tree", []string{"fusefs/bytejson", "meta/...", "thin", "thin/block", "thin/lend", "thin/pdata", "thin/resolve", "volfs/..."}},

	{"fusefs/bytejson", nil},
	{"fusefs/capability", nil},
	{"fusefs/mounts", []string{"thin/resolve"}},

	{"meta", nil},
	{"meta/record", []string{"thin/resolve"}},
	{"meta/docker", []string{"meta", "meta/record", "meta/store", "thin/resolve"}},
	{"meta/...", []string{"meta", "meta/record", "thin/block", "thin/pdata", "thin/resolve"}},

	{"thin", []string{"thin/block", "thin/dm", "thin/guard", "thin/loop", "thin/pdata", "thin/resolve"}},
	{"thin/deviceset", []string{"meta/record", "thin", "thin/block", "thin/dm", "volfs/probe"}},
	{"thin/guard", []string{"thin/dm"}},
	{"thin/lend", []string{"thin", "thin/block", "thin/dm", "thin/loop", "thin/resolve"}},
	{"thin/pdata", []string{"thin/block"}},
	{"thin/block", []string{"thin/resolve"}},
	{"thin/dm", nil},
	{"thin/dm/dmtest", []string{"thin/dm"}},
	{"thin/loop", []string{"thin/resolve"}},

	{"thin/resolve", nil},

	{"volfs", nil},
	{"volfs/probe", []string{"volfs"}},
	{"volfs/...", []string{"volfs", "volfs/probe"}},

	{"tests/...", []string{"..."}},
}

// reserved are packages of others that few packages may import.
var reserved = map[string][]string{
	"encoding/json":                  {"fusefs/bytejson", "meta/record", "thin/lend", "tests/..."},
	"github.com/hanwen/go-fuse":      {"fusefs"},
	"github.com/moby/sys/mountinfo":  {"cli", "fusefs/mounts", "thin/resolve", "thin/deviceset", "tests/..."},
	"github.com/moby/sys/mount":      {"thin/deviceset", "tests/..."},
	"github.com/urfave/cli":          {"cli"},
	"github.com/schollz/progressbar": {"cli"},
	"golang.org/x/term":              {"cli"},
	"github.com/klauspost/compress":  {"tests/..."},
}

const module = "thintree"

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string // without those of tests
}

// packages lists the module's packages, also those that do not compile.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var list []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// within gives a package's path in the module.
func within(importPath string) (name string, ok bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// matches tells whether a name is what a pattern stands for.
func matches(pattern, name string) bool {
	folder, open := strings.CutSuffix(pattern, "...")
	return name == strings.TrimSuffix(folder, "/") || open && strings.HasPrefix(name, folder)
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// mayImport is the row of arrows for a package: the first that it matches.
func mayImport(name string) (may []string, ok bool) {
	for _, a := range arrows {
		if matches(a.name, name) {
			return a.may, true
		}
	}
	return nil, false
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name, _ := within(p.ImportPath)
		may, ok := mayImport(name)
		if !ok {
			t.Errorf("%s has no place in the layers", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			other, ok := within(path)
			if ok && !matchesAny(may, other) {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, path)
			}
		}
	}
}

func TestModulesOfOthersStayInTheirLayer(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name, _ := within(p.ImportPath)
		for _, path := range p.Imports {
			for other, by := range reserved {
				if (path == other || strings.HasPrefix(path, other+"/")) && !matchesAny(by, name) {
					t.Errorf("%s imports %s, which only %q may", p.ImportPath, path, by)
				}
			}
		}
	}
}
