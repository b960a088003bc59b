package tree

import (
	"errors"
	"syscall"
	"testing"

	"thintree/meta"
)

// webTree has a volume with a folder rootfs, which is the root of a container and of an image.
func webTree(t *testing.T) *Tree {
	v := volumeRecord("layer-one", linksID)
	v.Root = "rootfs"
	return newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools:      []meta.Pool{smallPool(t)},
		Volumes:    []meta.Volume{v, volumeRecord("layer-two", partsID), volumeRecord("box", zerosID), volumeRecord("box-init", 9)},
		Containers: []meta.Container{{ID: "1", Name: "web", Volume: "layer-one"}},
		Images:     []meta.Image{{ID: "2", Names: []string{"web:latest", "other:2", "x:5000/y:1"}, Volume: "layer-one"}},
	}})
}

func TestLinksAreFollowedAsInAChroot(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	root, err := tree.Find(t.Context(), "container:web")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"/etc/hostname":            "inner",
		"etc/./hostname":           "inner",
		"//etc//hostname":          "inner",
		"/absolute":                "inner",
		"/relative":                "inner",
		"/escape":                  "inner",
		"/sub/up/hostname":         "inner",
		"/folder/../up/hostname":   "inner",
		"/../../../etc/hostname":   "inner",
		"/sub/../../etc/hostname":  "inner",
		"/chain39":                 "inner",
		"/chain40":                 syscall.ELOOP,
		"/loop":                    syscall.ELOOP,
		"/ping":                    syscall.ELOOP,
		"/nowhere":                 syscall.ENOENT,
		"/missing":                 syscall.ENOENT,
		"/etc/hostname/":           syscall.ENOTDIR,
		"/etc/hostname/x":          syscall.ENOTDIR,
		"/etc/hostname/..":         syscall.ENOTDIR,
		"/absolute/x":              syscall.ENOTDIR,
		"/missing/../etc/hostname": syscall.ENOENT,
	} {
		e, err := tree.Walk(t.Context(), root.ID, path, true)
		if text, ok := want.(string); ok {
			if err != nil {
				t.Errorf("%s: %v", path, err)
			} else if got := contentOf(t, tree, e); got != text {
				t.Errorf("%s contains %q, want %q", path, got, text)
			}
			continue
		}
		if !errors.Is(err, want.(error)) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestLinkAtTheEndIsFollowedWhenAsked(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	root, err := tree.Find(t.Context(), "container:web")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		follow bool
		want   uint32
	}{
		{"/folder", false, syscall.S_IFLNK},
		{"/folder", true, syscall.S_IFDIR},
		{"/folder/", false, syscall.S_IFDIR},
		{"/loop", false, syscall.S_IFLNK},
		{"/", false, syscall.S_IFDIR},
		{"", false, syscall.S_IFDIR},
	} {
		e, err := tree.Walk(t.Context(), root.ID, c.path, c.follow)
		if err != nil {
			t.Errorf("%q: %v", c.path, err)
		} else if got := e.Attr.Mode & syscall.S_IFMT; got != c.want {
			t.Errorf("%q, follow %v: type %o, want %o", c.path, c.follow, got, c.want)
		}
	}
}

func TestFindTakesEveryNameOfAVolume(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	for name, device := range map[string]uint32{
		"layer-one": linksID, "layer-two": partsID, "layer-o": linksID,
		"@1": linksID, "@2": partsID, "@3": zerosID,
		"container:web": linksID, "image:web:latest": linksID, "image:web": linksID, "image:x:5000/y:1": linksID,
		"bo": zerosID, // the container's volume and not its -init volume
	} {
		e, err := tree.Find(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v, err := tree.Volume(t.Context(), e.ID); err != nil || *v.DeviceID != device {
			t.Errorf("%s is device %d, %v, want %d", name, *v.DeviceID, err, device)
		}
	}
	for _, name := range []string{"nothing", "@7", "@x", "container:nobody", "image:other", "image:nobody", "Layer-one"} {
		if e, err := tree.Find(t.Context(), name); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%s is node %x, %v, want ENOENT", name, e.ID, err)
		}
	}
}

func TestFindTakesEveryAlias(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	for _, ref := range tree.Volumes(t.Context()) {
		for _, name := range append([]string{ref.Name}, ref.Aliases...) {
			e, err := tree.Find(t.Context(), name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got, err := tree.Volume(t.Context(), e.ID)
			if err != nil || got.Name != ref.Name {
				t.Errorf("%s is volume %s, %v, want %s", name, got.Name, err, ref.Name)
			}
		}
	}
}

func TestLinksOfTheViewsLeadToTheirVolumes(t *testing.T) {
	t.Parallel()
	tree := webTree(t)
	for _, path := range []string{"containers/web", "images/web:latest", "images/x:5000/y:1"} {
		e, err := tree.Walk(t.Context(), RootID, path+"/etc/hostname", true)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got := contentOf(t, tree, e); got != "inner" {
			t.Errorf("%s/etc/hostname contains %q", path, got)
		}
	}
}
