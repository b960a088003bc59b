package docker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/thin/block"
)

// newSystem makes a root without pool files at its usual place in a system, and a
// configuration of that system. place is below /var/lib.
func newSystem(t *testing.T, place, config string) *root {
	t.Helper()
	r := newRoot(t)
	r.remove(poolDir)
	top := t.TempDir()
	dir := filepath.Join(top, "var/lib", place)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.dir, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(top, "etc/docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, daemonFile), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r.dir = dir
	return r
}

func TestPoolIsTheOneOfTheHostsConfiguration(t *testing.T) {
	t.Parallel()
	for place, configs := range map[string]map[string]string{
		"docker": {
			`{"storage-opts":["dm.thinpooldev=/dev/mapper/docker-pool","dm.fs=xfs"]}`:    "docker-pool",
			`{"storage-opts":["dm.thinpooldev=a"," DM.thinpooldev = b "]}`:               "b",
			`{"storage-opts":["dm.thinpooldev=a"],"data-root":"/var/lib/docker"}`:        "a",
			`{"storage-opts":["dm.thinpooldev=a"],"data-root":"/data/docker"}`:           "",
			`{"storage-opts":["dm.thinpooldev=a"],"graph":"/data/docker"}`:               "",
			`{"storage-opts":["dm.thinpooldev"]}`:                                        "",
			`{}`:                                                                         "",
			`{`:                                                                          "",
			`{"storage-opts":["dm.thinpooldev=/dev/vg/pool"]}`:                           "",
			`{"storage-opts":"dm.thinpooldev=a"}`:                                        "",
			`{"storage-driver":"devicemapper","storage-opts":["dm.thinpooldev=vg-p-q"]}`: "vg-p-q",
		},
		"docker/100000.100000": {
			`{"storage-opts":["dm.thinpooldev=a"],"data-root":"/var/lib/docker"}`: "a",
			`{"storage-opts":["dm.thinpooldev=b"],"userns-remap":"default"}`:      "b",
		},
	} {
		for config, device := range configs {
			r := newSystem(t, place, config)
			cat, err := r.source().Load(t.Context())
			if device == "" {
				if err == nil || !strings.Contains(err.Error(), "--pool META,DATA") || !strings.Contains(err.Error(), "--pool POOL") {
					t.Errorf("%s: %v", config, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", config, err)
				continue
			}
			if diff := cmp.Diff([]meta.Pool{{Name: "pool", Device: device}}, cat.Pools); diff != "" {
				t.Errorf("%s: %s", config, diff)
			}
			if places := r.source().Places(); !slices.Contains(places, filepath.Join(topOf(r.dir), daemonFile)) {
				t.Errorf("%s: the places are %q", config, places)
			}
		}
	}
}

func TestPoolThatDockerMadeWithLVMIsNamed(t *testing.T) {
	t.Parallel()
	for setup, device := range map[string]string{`{"Device":"/dev/sdb","ThinpPercent":95}`: "docker-thinpool", "": "", `{"Device":""}`: "", "{": ""} {
		r := newRoot(t)
		r.remove(poolDir)
		r.write(setup, storeDir, "setup-config.json")
		cat, err := r.source().Load(t.Context())
		if device == "" {
			if err == nil || !strings.Contains(err.Error(), "--pool META,DATA") {
				t.Errorf("%s: %v", setup, err)
			}
			continue
		}
		if err != nil || len(cat.Pools) != 1 || cat.Pools[0].Device != device {
			t.Errorf("%s: %v, %v", setup, cat, err)
		}
	}
}

func TestConfigurationIsReadOnlyIfThePoolHasNoFiles(t *testing.T) {
	t.Parallel()
	r := newSystem(t, "docker", `{"storage-opts":["dm.thinpooldev=a"]}`)
	r.write(`{"Device":"/dev/sdb"}`, storeDir, "setup-config.json")
	r.pool(100)
	if cat := r.load(0); cat.Pools[0].Device != "" || cat.Pools[0].Metadata.IsNowhere() {
		t.Error(cat.Pools)
	}
}

func TestGivenPoolWins(t *testing.T) {
	t.Parallel()
	r := newSystem(t, "docker", `{"storage-opts":["dm.thinpooldev=a"]}`)
	for given, want := range map[string]meta.Pool{
		"b":             {Name: "pool", Device: "b"},
		"/dev/mapper/b": {Name: "pool", Device: "b"},
		"/m,/d":         {Name: "pool", Metadata: block.At("/m"), Data: block.At("/d")},
	} {
		s, err := System.Open(r.dir, meta.Options{Pool: given})
		if err != nil {
			t.Fatal(err)
		}
		cat, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]meta.Pool{want}, cat.Pools); diff != "" {
			t.Errorf("%s: %s", given, diff)
		}
	}
}

func TestStampChangesWithTheConfiguration(t *testing.T) {
	t.Parallel()
	r := newSystem(t, "docker", `{"storage-opts":["dm.thinpooldev=a"]}`)
	before := r.settledStamp()
	if err := os.WriteFile(filepath.Join(topOf(r.dir), daemonFile), []byte(`{"storage-opts":["dm.thinpooldev=b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if after := r.settledStamp(); after == before {
		t.Error("the same")
	}
}
