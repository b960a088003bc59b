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
	{"cli", []string{"thin/blockdev", "fusefs", "fusefs/bytejson", "fusefs/extract", "fusefs/mounts", "fusefs/tree", "fusefs/volume", "meta/...", "thin", "thin/block", "thin/deviceset", "thin/dm", "thin/inuse", "thin/lend", "thin/pdata", "thin/reader", "thin/resolve", "volfs/..."}},
	{"fusefs", []string{"fusefs/capability", "fusefs/mounts", "fusefs/tree", "thin/wait", "volfs"}},
	{"fusefs/extract", []string{"fusefs/capability", "fusefs/tree", "volfs"}},
	{"fusefs/tree", []string{"thin/blockdev", "fusefs/bytejson", "fusefs/layout", "fusefs/lease", "fusefs/volume", "meta", "volfs", "volfs/probe"}},
	{"fusefs/volume", []string{"fusefs/layout", "meta", "meta/lvm", "thin", "thin/block", "thin/lend", "thin/pdata", "thin/reader", "thin/resolve", "volfs/..."}},
	{"fusefs/lease", []string{"thin/wait"}},
	{"fusefs/layout", []string{"meta", "volfs"}},

	{"fusefs/bytejson", nil},
	{"fusefs/capability", nil},
	{"fusefs/mounts", []string{"thin/resolve"}},

	{"meta", []string{"thin/block"}},
	{"meta/record", []string{"thin/blockdev", "thin/resolve"}},
	{"meta/containerd", []string{"meta", "meta/containerd/boltcopy", "meta/pool", "meta/record", "meta/store", "thin/blockdev", "thin/resolve"}},
	{"meta/containerd/boltcopy", []string{"thin/resolve"}},
	{"meta/docker", []string{"meta", "meta/record", "meta/store", "thin/resolve"}},
	{"meta/storage", []string{"meta", "meta/record", "meta/store", "thin/resolve"}},
	{"meta/store", []string{"meta", "meta/pool", "meta/record", "thin/block", "thin/pdata", "thin/resolve"}},
	{"meta/disk", []string{"meta", "thin/block", "volfs/probe"}},
	{"meta/lvm/text", nil},
	{"meta/lvm", []string{"thin/blockdev", "meta", "meta/lvm/text", "thin/block", "volfs/probe"}},
	{"meta/systems", []string{"meta", "meta/..."}},
	{"meta/...", []string{"thin/blockdev", "meta", "meta/record", "thin/block", "thin/pdata", "thin/resolve"}},

	{"thin", []string{"thin/blockdev", "thin/block", "thin/inuse", "thin/dm", "thin/guard", "thin/loop", "thin/pdata", "thin/resolve"}},
	{"thin/deviceset", []string{"thin/blockdev", "meta/record", "thin", "thin/block", "thin/dm", "thin/pdata", "volfs/probe"}},
	{"thin/guard", []string{"thin/dm"}},
	{"thin/lend", []string{"thin/blockdev", "thin", "thin/block", "thin/dm", "thin/inuse", "thin/loop", "thin/pdata", "thin/reader", "thin/resolve"}},
	{"thin/reader", []string{"thin/blockdev", "thin/block", "thin/inuse", "thin/pdata"}},
	{"thin/pdata", []string{"thin/blockdev", "thin/block"}},
	{"thin/block", []string{"thin/blockdev", "thin/resolve"}},
	{"thin/dm", []string{"thin/blockdev"}},
	{"thin/dm/dmtest", []string{"thin/blockdev", "thin/dm"}},
	{"thin/inuse", []string{"thin/blockdev", "thin/resolve"}},
	{"thin/loop", []string{"thin/blockdev", "thin/resolve"}},

	{"thin/blockdev", nil},
	{"thin/resolve", nil},
	{"thin/wait", nil},

	{"volfs", nil},
	{"volfs/probe", []string{"volfs"}},
	{"volfs/readers", []string{"volfs", "volfs/..."}},
	{"volfs/kernelfs", []string{"thin/blockdev", "volfs", "volfs/probe"}},
	{"volfs/...", []string{"volfs", "volfs/probe"}},

	{"tests/...", []string{"..."}},
}

// reserved are packages of others that few packages may import.
var reserved = map[string][]string{
	"encoding/json":                  {"fusefs/bytejson", "meta/containerd", "meta/record", "thin/lend", "tests/..."},
	"github.com/hanwen/go-fuse":      {"fusefs"},
	"github.com/moby/sys/mountinfo":  {"cli", "fusefs/mounts", "thin/resolve", "thin/deviceset", "tests/..."},
	"github.com/moby/sys/mount":      {"thin/deviceset", "tests/..."},
	"github.com/urfave/cli":          {"cli"},
	"github.com/schollz/progressbar": {"cli"},
	"golang.org/x/term":              {"cli"},
	"github.com/klauspost/compress":  {"tests/..."},
	"github.com/pelletier/go-toml":   {"meta/containerd"},
	"go.etcd.io/bbolt":               {"meta/containerd/..."},
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

// matches reports whether a name is what a pattern stands for.
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

// The reader of pools can be used by programs that never touch device-mapper.
func TestReaderLinksNothingOfTheLifecycle(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", module+"/thin/reader").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"/thin/pdata") {
		t.Fatalf("the reader does not read metadata: %q", deps)
	}
	for _, name := range []string{"thin", "thin/dm", "thin/loop", "thin/guard", "thin/lend", "thin/deviceset"} {
		if slices.Contains(deps, module+"/"+name) {
			t.Errorf("thin/reader links %s", name)
		}
	}
}
