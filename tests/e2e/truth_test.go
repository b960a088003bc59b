package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thintree/tests/manifest"
	"thintree/tests/pools"
)

// realPools are the real pools, and how each is mounted.
var realPools = []struct {
	name   string
	source func(*testing.T) []string
	// folder is where a manifest's volume is below volumes/.
	folder func(string) string
}{
	{"docker-ext4", func(t *testing.T) []string {
		return []string{"docker:" + pools.Docker(t)}
	}, func(hash string) string { return hash }},
	{"containerd-ext4", func(t *testing.T) []string {
		dir := pools.Containerd(t)
		return []string{"--pool", dir + "/meta," + dir + "/data", "containerd:" + dir + "/root"}
	}, func(id string) string { return "ctd-pool-snap-" + id }},
	{"storage-ext4", func(t *testing.T) []string {
		dir := pools.Storage(t)
		return []string{"--pool", dir + "/meta," + dir + "/data", "storage:" + dir + "/root"}
	}, func(layer string) string { return layer }},
	{"lvm-disk", func(t *testing.T) []string {
		return []string{"lvm:" + pools.LVM(t)}
	}, func(lv string) string {
		return "vg0/" + strings.ReplaceAll(strings.Replace(lv, ".p", "/p", 1), "--", "-")
	}},
	{"containerd-ext4", containerdPool, func(id string) string { return "ctd-pool-snap-" + id }},
}

// TestVolumesEqualWhatTheKernelShowed holds every volume of the real pools, as it
// is seen through FUSE, against what the kernel's mount showed of it: in volumes/, and
// through each link of the other views.
func TestVolumesEqualWhatTheKernelShowed(t *testing.T) {
	t.Parallel()
	needs(t, root) // to read every file and all attributes
	for _, c := range realPools {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mnt := mount(t, c.source(t)...)
			truth := make(map[string]manifest.Manifest) // by the folder below volumes/
			for name, text := range pools.Truth(t, c.name) {
				want, err := manifest.Read(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				truth[c.folder(name)] = want
				t.Run(name, func(t *testing.T) {
					dir := filepath.Join(mnt, "volumes", c.folder(name))
					if c.name == "lvm-disk" && name == "xfsvol" && *engine != "kernel" {
						// No reader of xfs is there yet; it must say so.
						if _, err := os.ReadDir(dir); err == nil {
							t.Error("xfs is listed, but nobody reads it")
						}
						return
					}
					compare(t, want, dir)
				})
			}
			links := linksOf(t, mnt)
			for link, target := range links {
				volume, inside, _ := strings.Cut(target, "/rootfs")
				want, known := truth[volume]
				switch {
				case !known && c.name == "lvm-disk": // it has partitions only
				case !known:
					t.Errorf("%s leads to %s, which the kernel did not show", link, target)
				case c.name == "lvm-disk" && volume == "vg0/xfsvol" && *engine != "kernel":
				case strings.HasSuffix(target, "/rootfs"):
					compare(t, within(want, "rootfs"), filepath.Join(mnt, link))
				case inside == "":
					compare(t, want, filepath.Join(mnt, link))
				}
			}
			if len(links) < len(truth)-1 {
				t.Errorf("%d links lead to %d volumes", len(links), len(truth))
			}
		})
	}
}

// linksOf are the links of all views of a tree, with the paths below volumes/ that they lead to.
func linksOf(t *testing.T, mnt string) map[string]string {
	t.Helper()
	links := make(map[string]string)
	for _, view := range []string{"by-id", "containers", "images", "snapshots"} {
		top := filepath.Join(mnt, view)
		if _, err := os.Lstat(top); err != nil && view == "snapshots" {
			continue
		}
		err := filepath.WalkDir(top, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.Type() != os.ModeSymlink {
				return err
			}
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			target, err := filepath.Rel(filepath.Join(mnt, "volumes"), filepath.Join(filepath.Dir(path), to))
			if err != nil || strings.HasPrefix(target, "..") {
				t.Errorf("%s leads to %s", path, to)
			}
			link, err := filepath.Rel(mnt, path)
			links[link] = target
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	return links
}

// within is the part of a manifest that is in a folder.
func within(m manifest.Manifest, folder string) (part manifest.Manifest) {
	for _, e := range m {
		if e.Path == folder {
			e.Path = "."
			part = append(part, e)
		} else if path, ok := strings.CutPrefix(e.Path, folder+"/"); ok {
			e.Path = path
			part = append(part, e)
		}
	}
	return part
}

func compare(t *testing.T, want manifest.Manifest, dir string) {
	t.Helper()
	got, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := manifest.Diff(want, got); d != "" {
		t.Errorf("%s differs from what the kernel showed:\n%s", dir, d)
	}
}
