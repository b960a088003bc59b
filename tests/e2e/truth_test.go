package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thintree/tests/manifest"
	"thintree/tests/pools"
)

// TestVolumesEqualWhatTheKernelShowed holds every volume of the real pools, as it
// is seen through FUSE, against what the kernel's mount showed of it.
func TestVolumesEqualWhatTheKernelShowed(t *testing.T) {
	t.Parallel()
	needs(t, root) // to read every file and all attributes
	for _, c := range []struct {
		name   string
		source func(*testing.T) []string
		// folder is where a manifest's volume is in the tree.
		folder func(string) string
	}{
		{"docker-ext4", func(t *testing.T) []string {
			return []string{"docker:" + pools.Docker(t)}
		}, func(hash string) string { return "volumes/" + hash }},
		{"containerd-ext4", containerdPool, func(id string) string { return "volumes/ctd-pool-snap-" + id }},
		{"storage-ext4", storagePool, func(layer string) string { return "volumes/" + layer }},
		{"lvm-disk", func(t *testing.T) []string {
			return []string{"lvm:" + pools.LVM(t)}
		}, func(lv string) string {
			return "volumes/vg0/" + strings.ReplaceAll(strings.Replace(lv, ".p", "/p", 1), "--", "-")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mnt := mount(t, c.source(t)...)
			for name, truth := range pools.Truth(t, c.name) {
				t.Run(name, func(t *testing.T) {
					if c.name == "lvm-disk" && name == "xfsvol" && *engine != "kernel" {
						// No reader of xfs is there yet; it must say so.
						if _, err := os.ReadDir(filepath.Join(mnt, c.folder(name))); err == nil {
							t.Error("xfs is listed, but nobody reads it")
						}
						return
					}
					compareManifest(t, filepath.Join(mnt, c.folder(name)), truth)
				})
			}
		})
	}
}

func compareManifest(t *testing.T, dir, truth string) {
	t.Helper()
	want, err := manifest.Read(strings.NewReader(truth))
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := manifest.Diff(want, got); d != "" {
		t.Errorf("%s differs from what the kernel showed:\n%s", dir, d)
	}
}
