package e2e

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/tests/pools"
)

// A Docker root's folder devicemapper is a store: it has the same volumes, but
// no records of what they are for.
func TestStoreHasTheVolumesOfItsDockerRoot(t *testing.T) {
	t.Parallel()
	docker := pools.Docker(t)
	inRoot := filepath.Join(docker, "devicemapper")
	// Elsewhere a store is known by what lies in it.
	alone := t.TempDir()
	sh(t, alone, "cp -a --sparse=always "+inRoot+"/* .")
	want := thintree(t, "ls", "docker:"+docker).must(t)
	for _, source := range []string{"store:" + inRoot, "store:" + alone, alone} {
		if diff := cmp.Diff(want, thintree(t, "ls", source).must(t)); diff != "" {
			t.Errorf("%s: %s", source, diff)
		}
	}
	type volume struct {
		Name string `json:"name"`
		Size int64  `json:"size_bytes"`
		Root string `json:"root"`
	}
	list := func(source string) (all []volume) {
		t.Helper()
		if err := json.Unmarshal([]byte(thintree(t, "ls", "--json", source).must(t)), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	volumes := list("docker:" + docker)
	if len(volumes) == 0 || volumes[0].Name == "" || volumes[0].Size == 0 {
		t.Fatal(volumes)
	}
	for i := range volumes {
		volumes[i].Root = ""
	}
	if diff := cmp.Diff(volumes, list("store:"+inRoot)); diff != "" {
		t.Error(diff)
	}
	etc := thintree(t, "ls", "docker:"+docker, "container:ran:/etc").must(t)
	if got := thintree(t, "ls", "store:"+inRoot, "ed481cbae34f:/rootfs/etc").must(t); got != etc {
		t.Error(cmp.Diff(etc, got))
	}
}
