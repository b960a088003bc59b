package docker

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestContainerNamesThatAreNotPathsAreDropped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
	}{
		{"/web", "web"}, {"web", "web"}, {"/a/b", "a/b"}, {"/Ünï.c-_1", "Ünï.c-_1"}, {"/" + strings.Repeat("n", 255), strings.Repeat("n", 255)},
		{"/..", ""}, {"/.", ""}, {"//", ""}, {"//web", ""}, {"/a//b", ""}, {"/a/../b", ""}, {"/a/", ""}, {"/a\x00b", ""}, {"/a\nb", ""}, {"/\u202eb", ""},
		{"/" + strings.Repeat("n", 256), ""}, {"/" + strings.Repeat("a/", 10_000) + "a", ""},
	} {
		r := newRoot(t)
		r.container("c", c.name, "")
		r.remove(mountsDir, hexID("c"), "parent")
		warnings := 0
		if c.want == "" {
			warnings = 1
		}
		if diff := cmp.Diff(map[string]string{hexID("c mount"): c.want}, containerNames(r.load(warnings))); diff != "" {
			t.Errorf("%.40q: %s", c.name, diff)
		}
	}
}

func TestContainerWithoutAName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "/"} {
		r := newRoot(t)
		id := r.container("c", name, "")
		r.remove(mountsDir, id, "parent")
		if diff := cmp.Diff(map[string]string{hexID("c mount"): ""}, containerNames(r.load(0))); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
}

func TestContainerWithoutItsRecordLosesItsName(t *testing.T) {
	t.Parallel()
	id := hexID("c")
	for name, c := range map[string]struct {
		damage   func(r *root)
		warnings int
	}{
		"missing":     {func(r *root) { r.remove(containersDir, id, configFile) }, 1},
		"no folder":   {func(r *root) { r.remove(containersDir, id) }, 0},
		"empty":       {func(r *root) { r.write("", containersDir, id, configFile) }, 1},
		"cut short":   {func(r *root) { r.write(`{"ID":"`+id[:30], containersDir, id, configFile) }, 1},
		"an array":    {func(r *root) { r.write(`[]`, containersDir, id, configFile) }, 1},
		"null":        {func(r *root) { r.write(`null`, containersDir, id, configFile) }, 1},
		"a name of 7": {func(r *root) { r.config(id, map[string]any{"ID": id, "Driver": driver, "Name": 7}) }, 1},
		"another id":  {func(r *root) { r.config(id, map[string]any{"ID": hexID("d"), "Driver": driver, "Name": "/d"}) }, 1},
		"a long image": {func(r *root) {
			r.config(id, map[string]any{"ID": id, "Driver": driver, "Image": strings.Repeat("i", 2000)})
		}, 1},
		"too long":        {func(r *root) { r.write(strings.Repeat(" ", maxConfig+1), containersDir, id, configFile) }, 1},
		"a symbolic link": {func(r *root) { r.link("/dev/zero", containersDir, id, configFile) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			_, chains := r.layers("one")
			r.container("c", "/web", chains[0])
			r.container("other", "/other", chains[0])
			c.damage(r)
			want := map[string]string{hexID("c mount"): "", hexID("other mount"): "other"}
			if diff := cmp.Diff(want, containerNames(r.load(c.warnings))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func (r *root) link(target string, parts ...string) {
	r.t.Helper()
	r.remove(parts...)
	if err := os.Symlink(target, r.path(parts...)); err != nil {
		r.t.Fatal(err)
	}
}

func TestContainerWithoutAVolumeIsOnlyAWarning(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(r *root){
		"no mount":       func(r *root) { r.remove(mountsDir, hexID("c")) },
		"no device":      func(r *root) { r.remove(recordsDir, hexID("c mount")) },
		"no layer store": func(r *root) { r.remove("image") },
	} {
		r := newRoot(t)
		r.container("c", "/c", "")
		r.remove(mountsDir, hexID("c"), "parent")
		damage(r)
		if cat := r.load(1); len(cat.Containers) != 0 {
			t.Errorf("%s: %+v", name, cat.Containers)
		}
	}
}

func TestContainersOfOtherDriversAndDeadOnesAreLeftOut(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	for _, d := range []string{"overlay2", ""} {
		id := hexID(d)
		r.config(id, map[string]any{"ID": id, "Name": "/x", "Driver": d})
	}
	dead := hexID("dead")
	r.config(dead, map[string]any{"ID": dead, "Name": "/x", "Driver": driver, "State": map[string]any{"Dead": true}})
	r.write("{}", containersDir, hexID("of Docker 1.9"), "config.json")
	r.write("", containersDir, "a file")
	r.write("", containersDir, "lost+found", configFile)
	if cat := r.load(0); len(cat.Containers) != 0 {
		t.Error(cat.Containers)
	}
}
