package docker

import (
	"strings"
	"testing"

	"thintree/meta"
)

func TestDamagedLayerLosesOnlyItsVolumeOrParent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text  string
		warnings    int // of the layer, and of what is above it
		two         meta.Role
		parentOfTwo string
		images      int // of two images, with two and with three layers
	}{
		"none":                {"diff", "x", 0, meta.RoleLayer, hexID("one"), 2},
		"cache-id empty":      {"cache-id", " \n", 3, meta.RoleVolume, "", 1},
		"cache-id a path":     {"cache-id", "../../etc", 3, meta.RoleVolume, "", 1},
		"cache-id long":       {"cache-id", strings.Repeat("x", 5000), 3, meta.RoleVolume, "", 1},
		"cache-id unknown":    {"cache-id", hexID("unknown"), 1, meta.RoleVolume, "", 1},
		"parent unknown":      {"parent", "sha256:" + hexID("unknown"), 1, meta.RoleLayer, "", 2},
		"parent no digest":    {"parent", hexID("one"), 1, meta.RoleLayer, "", 2},
		"parent empty":        {"parent", "", 1, meta.RoleLayer, "", 2},
		"parent with a blank": {"parent", "sha256: " + hexID("one"), 1, meta.RoleLayer, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			_, chains := r.layers("one", "two", "three")
			r.image("two", "one", "two")
			r.image("three", "one", "two", "three")
			r.write(c.text, layersDir, chains[1][7:], c.file)
			cat := r.load(c.warnings)
			two := volume(t, cat, hexID("two"))
			if two.Role != c.two || two.Parent != c.parentOfTwo {
				t.Errorf("two: %+v", two)
			}
			if len(cat.Images) != c.images {
				t.Errorf("images: %+v", cat.Images)
			}
			if len(cat.Volumes) != 4 {
				t.Errorf("%d volumes", len(cat.Volumes))
			}
		})
	}
}

func TestDamagedMountLosesOnlyItsVolumeOrParent(t *testing.T) {
	t.Parallel()
	mount := hexID("c mount")
	for name, c := range map[string]struct {
		file, text string
		warnings   int
		parent     string // of the init volume
		container  bool
	}{
		"mount-id empty":   {"mount-id", "", 2, "", false},
		"mount-id a path":  {"mount-id", "/etc", 2, "", false},
		"mount-id unknown": {"mount-id", hexID("unknown"), 1, hexID("one"), false},
		"init-id a path":   {"init-id", "..", 1, "", true},
		"parent unknown":   {"parent", "sha256:" + hexID("unknown"), 1, "", true},
		"parent no digest": {"parent", "one", 1, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			_, chains := r.layers("one")
			id := r.container("c", "/c", chains[0])
			r.write(c.text, mountsDir, id, c.file)
			cat := r.load(c.warnings)
			if got := len(cat.Containers) == 1; got != c.container {
				t.Errorf("containers: %+v", cat.Containers)
			}
			if v := volume(t, cat, mount+"-init"); v.Parent != c.parent {
				t.Errorf("init: %+v", v)
			}
		})
	}
}

func TestMountWithoutALayerBelowIsASnapshotOfTheBase(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	id := r.container("c", "/c", "")
	r.remove(mountsDir, id, "parent")
	cat := r.load(0)
	if v := volume(t, cat, hexID("c mount")+"-init"); v.Parent != "base" || v.Role != meta.RoleInit {
		t.Errorf("%+v", v)
	}
	r.remove(mountsDir, id, "init-id")
	if v := volume(t, r.load(0), hexID("c mount")); v.Parent != "base" || v.Role != meta.RoleContainer {
		t.Errorf("%+v", v)
	}
}

func TestDamagedDeviceLosesOnlyItself(t *testing.T) {
	t.Parallel()
	mount := hexID("c mount")
	for name, c := range map[string]struct {
		device             string
		warnings           int // of the device, and of the layer or mount
		containers, images int
		orphan             string // a volume whose parent is lost
	}{
		"of a container": {mount, 2, 0, 2, ""},
		"of an init":     {mount + "-init", 2, 1, 2, mount},
		"of a layer":     {hexID("one"), 2, 1, 1, hexID("two")},
		"of the base":    {"base", 1, 1, 2, hexID("one")},
		"unused":         {"x", 1, 1, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			r.image("one", "one")
			_, top := r.image("two", "one", "two")
			r.container("c", "/c", top)
			r.device("x")
			r.write("{", recordsDir, c.device)
			cat := r.load(c.warnings)
			assertConsistent(t, cat)
			if len(cat.Volumes) != 5 || len(cat.Containers) != c.containers || len(cat.Images) != c.images {
				t.Errorf("%d volumes, %d containers, %d images", len(cat.Volumes), len(cat.Containers), len(cat.Images))
			}
			if c.orphan != "" && volume(t, cat, c.orphan).Parent != "" {
				t.Errorf("%+v", volume(t, cat, c.orphan))
			}
		})
	}
}

func TestUnusedDeviceIsAVolume(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.device("x")
	if v := volume(t, r.load(0), "x"); v.Role != meta.RoleVolume || v.Parent != "" || v.Root != "rootfs" {
		t.Errorf("%+v", v)
	}
}

// BuildKit mounts layers without a container.
func TestMountsOfABuilderAreNotContainers(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	_, chains := r.layers("one")
	r.device(hexID("built"))
	r.write(hexID("built"), mountsDir, "k3vz1q9n8m7l6k5j4h3g2f1d0", "mount-id")
	r.write(chains[0], mountsDir, "k3vz1q9n8m7l6k5j4h3g2f1d0", "parent")
	cat := r.load(0)
	if v := volume(t, cat, hexID("built")); v.Parent != hexID("one") || v.Role != meta.RoleVolume {
		t.Errorf("%+v", v)
	}
	if len(cat.Containers) != 0 {
		t.Error(cat.Containers)
	}
}

func TestLayersBeingRemovedAreLeftOut(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.write(hexID("gone"), layersDir, hexID("gone")+"-1a2b-removing", "cache-id")
	r.load(0)
}

func TestNoVolumeIsItsOwnAncestor(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	_, chains := r.layers("one", "two", "three", "four")
	r.write(chains[2], layersDir, chains[0][7:], "parent")
	r.write(chains[3], layersDir, chains[3][7:], "parent")
	cat := r.load(2)
	assertConsistent(t, cat)
}

// assertConsistent checks what must be true for every catalog, whatever the records.
func assertConsistent(t testing.TB, cat *meta.Catalog) {
	t.Helper()
	parents := make(map[string]string)
	for _, v := range cat.Volumes {
		if _, twice := parents[v.Name]; twice {
			t.Errorf("volume %s is listed twice", v.Name)
		}
		parents[v.Name] = v.Parent
		if v.DeviceID >= 1<<24 || v.SizeBytes < 0 || v.Record == "" || v.Pool != cat.Pools[0].Name {
			t.Errorf("%+v", v)
		}
		if v.Name == "" || v.Name == "." || v.Name == ".." || strings.ContainsAny(v.Name, "/\x00") {
			t.Errorf("a volume has the name %q", v.Name)
		}
	}
	for name := range parents {
		steps := 0
		for at := name; at != ""; at = parents[at] {
			if _, known := parents[at]; !known {
				t.Errorf("%s has the parent %s, which is not a volume", name, at)
				break
			}
			if steps++; steps > len(parents) {
				t.Errorf("%s is its own ancestor", name)
				break
			}
		}
	}
	for _, c := range cat.Containers {
		if c.Name != "" {
			assertName(t, c.Name)
		}
		if _, known := parents[c.Volume]; !known {
			t.Errorf("%+v", c)
		}
	}
	for _, i := range cat.Images {
		if _, known := parents[i.Volume]; !known {
			t.Errorf("%+v", i)
		}
		for _, name := range i.Names {
			assertName(t, name)
		}
	}
}

func assertName(t testing.TB, name string) {
	t.Helper()
	if len(name) > maxName || strings.ContainsRune(name, 0) {
		t.Errorf("the name %q", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			t.Errorf("the name %q", name)
		}
	}
}
