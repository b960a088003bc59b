package containerd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"thintree/meta"
	"thintree/tests/pools"
)

// assertConsistent checks that all names in a catalog lead to something.
func assertConsistent(t testing.TB, cat *meta.Catalog) {
	t.Helper()
	parents, ids := map[string]string{}, map[uint32]bool{}
	for _, v := range cat.Volumes {
		if _, ok := parents[v.Name]; ok || v.Name == "" || v.DeviceID > maxDeviceID || ids[v.DeviceID] || v.SizeBytes < 0 {
			t.Errorf("volume %+v", v)
		}
		parents[v.Name], ids[v.DeviceID] = v.Parent, true
	}
	has := func(volume string) bool { _, ok := parents[volume]; return ok }
	for name := range parents {
		steps := 0
		for at := name; at != ""; at = parents[at] {
			if steps++; steps > len(parents) || !has(at) {
				t.Fatalf("%q has no end of parents", name)
			}
		}
	}
	for _, c := range cat.Containers {
		if !has(c.Volume) {
			t.Errorf("container %+v", c)
		}
	}
	for _, i := range cat.Images {
		if !has(i.Volume) || len(i.Names) != 1 {
			t.Errorf("image %+v", i)
		}
	}
	for _, s := range cat.Snapshots {
		if !has(s.Volume) || s.Kind == "" {
			t.Errorf("snapshot %+v", s)
		}
	}
	for _, w := range cat.Warnings {
		if len(w.Error()) > 2000 {
			t.Errorf("a warning of %d bytes", len(w.Error()))
		}
	}
}

// Any bytes in one of the databases give a consistent catalog, or an error.
func FuzzDatabase(f *testing.F) {
	names := []string{metaFile, pluginDir + "/" + metadataFile, pluginDir + "/p.db"}
	add := func(dir string, names []string) {
		for i, name := range names {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), data)
			f.Add(uint8(i+1), data)
			f.Add(uint8(i), data[:len(data)*2/3])
		}
	}
	r := newRoot(f)
	r.snapshots(made{1, 3, "ns", "layer", "", 0}, made{2, 2, "ns", "rw", "layer", 1})
	r.container("ns", "c", snapshotter, "rw", specOf("sh"))
	r.blob("ns", "manifest", contentLabel+"config", "config")
	r.blob("ns", "config", snapshotLabel, "layer")
	r.image("ns", "i:1", "manifest")
	add(r.dir, names)
	real := slices.Clone(names)
	real[2] = pluginDir + "/ctd-pool.db"
	add(filepath.Join(pools.Containerd(f), "root"), real)
	whole := map[string][]byte{}
	for _, name := range names {
		var err error
		if whole[name], err = os.ReadFile(r.path(name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		r := &root{t, t.TempDir()}
		for i, name := range names {
			text := whole[name]
			if i == int(which)%len(names) {
				text = data
			}
			if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.path(name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := r.source().(source)
		s.pause = 0
		cat, err := s.Load(t.Context())
		if err != nil {
			if names[int(which)%len(names)] != pluginDir+"/p.db" {
				t.Error(err)
			}
			return
		}
		assertConsistent(t, cat)
	})
}

// A container's spec is bytes of anybody who makes a container.
func FuzzSpec(f *testing.F) {
	f.Add([]byte(specOf("sh", "-c", "true")))
	f.Add([]byte(anyOf(`{"mounts":[{}],"process":null}`)))
	f.Add([]byte("\x0a\x00\x12\x02{}"))
	f.Fuzz(func(t *testing.T, record []byte) {
		s, err := parseSpec(record)
		if err != nil && (len(s.Process.Args) > 0 || len(s.mounts()) > 0 || len(err.Error()) > 400) {
			t.Error(s, err)
		}
	})
}
