package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thintree/fusefs"
	"thintree/fusefs/layout"
	"thintree/fusefs/tree"
	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/tests/pools"
	"thintree/thin/block"
)

// catalog is a source that has what a test says.
type catalog struct{ meta.Catalog }

func (c *catalog) String() string                              { return "test:names" }
func (c *catalog) Places() []string                            { return nil }
func (c *catalog) Load(context.Context) (*meta.Catalog, error) { return &c.Catalog, nil }
func (c *catalog) Stamp(context.Context) (string, error)       { return "", nil }

// mountCatalog mounts a tree of what a naming system could know, served by the test itself: no naming
// system takes all these names.
func mountCatalog(t *testing.T, c meta.Catalog) string {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	log := slog.New(slog.DiscardHandler)
	served, err := tree.New(t.Context(), []meta.Source{&catalog{c}}, tree.Options{MaxActive: 4, Options: volume.Options{OpenTimeout: time.Minute, Log: log}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { served.Close() })
	mnt := t.TempDir()
	m, err := fusefs.New(served, mnt, fusefs.Options{Source: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return mnt
}

// unusual are names that are hard to show.
var unusual = []string{
	"", ".", "..", "/", "a/", "//", "../..", "a\nb", "a\rb", "\x1b[2J", "\x00", "\x7f", "\u0085", "\xff\xfe", "a\xc3", "\xed\xa0\x80",
	"%", "%2F", "%%41", "%0A", "\n", "a", "a/b", "a/b/c", "A", "ä", "a\u0308", "-rf", "a b", "$(x)", "`", "*",
	strings.Repeat("x", 230), strings.Repeat("x", 231), strings.Repeat("y", 255), strings.Repeat("z", 256), strings.Repeat("\n", 255),
	strings.Repeat("ü%", 300), strings.Repeat("/", 300), strings.Repeat("d/", 500) + "e",
}

func TestUnusualNamesAreListedAndOpened(t *testing.T) {
	t.Parallel()
	docker := filepath.Join(pools.Docker(t), "devicemapper/devicemapper")
	cat := meta.Catalog{Pools: []meta.Pool{{Name: "pool", Metadata: block.At(filepath.Join(docker, "metadata")), Data: block.At(filepath.Join(docker, "data"))}}}
	for i, name := range unusual {
		cat.Volumes = append(cat.Volumes, meta.Volume{Name: name, Pool: "pool", DeviceID: 14, SizeBytes: 1 << 30, Role: meta.RoleContainer, Root: "rootfs"})
		cat.Containers = append(cat.Containers, meta.Container{ID: fmt.Sprint("id", i), Name: name, Volume: name})
	}
	mnt := mountCatalog(t, cat)
	for view, inside := range map[string]string{"volumes": "rootfs/etc", "containers": "etc"} {
		var shown []string
		walkNames(t, filepath.Join(mnt, view), "", func(path string, isName bool) {
			if isName && path[0] != '@' { // those are devices without a name
				shown = append(shown, path)
			}
		})
		found := make(map[string]bool)
		for _, path := range shown {
			at := filepath.Join(mnt, view, path)
			if _, err := os.Lstat(at); err != nil {
				t.Errorf("%s/%.60q is listed, but: %v", view, path, err)
			}
			if list, err := os.ReadDir(filepath.Join(at, inside)); err != nil || len(list) == 0 {
				t.Errorf("%s/%.60q: %d entries of its %s: %v", view, path, len(list), inside, err)
			}
			name, _, _ := strings.Cut(path, "@") // a name that is also a folder has a suffix
			found[layout.Unescape(name)] = true
		}
		for _, name := range unusual {
			if view == "containers" && name == "" { // it is shown by its id
				continue
			}
			if !found[name] {
				t.Errorf("%s: %.60q is not shown", view, name)
			}
		}
		t.Logf("%s: %d paths for %d names", view, len(shown), len(unusual))
	}
}

// walkNames calls each with the paths below a folder. isName says that the path is that of a volume or
// container, and not of a folder above some.
func walkNames(t *testing.T, dir, path string, each func(path string, isName bool)) {
	list, err := os.ReadDir(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		below := filepath.Join(path, e.Name())
		_, err := os.Lstat(filepath.Join(dir, below, "rootfs"))
		isName := err == nil || e.Type()&os.ModeSymlink != 0
		each(below, isName)
		if !isName && e.IsDir() {
			walkNames(t, dir, below, each)
		}
	}
}
