package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/meta/docker"
	"thintree/meta/record"
	"thintree/meta/store"
	"thintree/tests/pools"
	"thintree/thin/block"
	"thintree/thin/reader"
)

var elsewhere = store.Options{Pool: &meta.Pool{Metadata: block.At("/m"), Data: block.At("/d")}}

// root is a root that a test makes. Its pool is elsewhere.
type root struct {
	t   testing.TB
	dir string
	id  int // the id of the last device
}

// newRoot makes a root with the base device and devices with the given hashes.
func newRoot(t testing.TB, hashes ...string) *root {
	t.Helper()
	r := &root{t: t, dir: filepath.Join(t.TempDir(), "root")}
	for _, hash := range append([]string{"base"}, hashes...) {
		r.id++
		r.write(fmt.Sprintf(`{"device_id":%d,"size":1048576,"transaction_id":%d,"initialized":false,"deleted":false}`, r.id, r.id), recordsDir+"/"+hash)
	}
	r.write("[]", layersFile)
	return r
}

func (r *root) write(text, path string) {
	r.t.Helper()
	path = filepath.Join(r.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	// As containers/storage does: written to a temporary file, and renamed.
	if err := os.WriteFile(path+".tmp", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		r.t.Fatal(err)
	}
}

// list writes a file with records.
func (r *root) list(path string, records ...map[string]any) {
	r.t.Helper()
	text, err := json.Marshal(records)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(string(text), path)
}

func (r *root) load(warnings int) *meta.Catalog {
	r.t.Helper()
	cat, err := New(r.dir, elsewhere).Load(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if len(cat.Warnings) != warnings {
		r.t.Errorf("%d warnings instead of %d: %v", len(cat.Warnings), warnings, cat.Warnings)
	}
	return cat
}

// roles are the roles and parents of a catalog's volumes.
func roles(cat *meta.Catalog) map[string]string {
	roles := make(map[string]string)
	for _, v := range cat.Volumes {
		roles[v.Name] = strings.TrimSpace(string(v.Role) + " " + v.Parent)
	}
	return roles
}

func TestRealRootIsRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(pools.Storage(t), "root")
	s, err := System.Open(dir, meta.Options{Pool: filepath.Join(dir, "../meta") + "," + filepath.Join(dir, "../data")})
	if err != nil {
		t.Fatal(err)
	}
	cat, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const (
		one     = "558fbc486b340aa4a90009d2d50a2a82b51f7a1c58d00010ff7b8e29ff26576b"
		two     = "34f4374ae9a6087537a3b210311565edfef2f59db210ed2b7eae84d2b5531122"
		running = "a20afe0d0ab10b92c558f29cf06bf4aa1f694c87f66f7573188376687d6e326a"
		idle    = "4df0461a691dd38a31376ee46b8ce21d41e56094522c5d39ab6244e51c888c29"
		web     = "6d224353d1f0125c8508a86156ae25a9bfeb5c7ed1d63012572e7def2955bc0f"
		small   = "78e7c8f0329926b3dfd28de1971f308072d574a739b3338ab4d939d50926e8fe"
	)
	at := func(text string) time.Time {
		t.Helper()
		moment, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	volume := func(id uint32, name string, role meta.Role, parent, created string) meta.Volume {
		return meta.Volume{
			Name: name, Pool: "pool", DeviceID: id, SizeBytes: 512 << 20, Parent: parent, Role: role, Root: "rootfs",
			TransactionID: uint64(id), Record: filepath.Join(dir, recordsDir, name), Created: at(created),
		}
	}
	want := &meta.Catalog{
		Pools: []meta.Pool{{Name: "pool", Metadata: block.At(filepath.Join(dir, "../meta")), Data: block.At(filepath.Join(dir, "../data"))}},
		Volumes: []meta.Volume{
			{
				Name: "base", Pool: "pool", DeviceID: 1, SizeBytes: 512 << 20, Role: meta.RoleBase, TransactionID: 1,
				FilesystemUUID: "8fee0f61-5019-40b7-9854-b71d6940eed8", Record: filepath.Join(dir, recordsDir, "base"),
			},
			volume(3, two, meta.RoleLayer, one, "2026-11-24T03:29:34.303684702Z"),
			volume(5, idle, meta.RoleContainer, one, "2026-11-24T03:29:39.681264734Z"),
			volume(2, one, meta.RoleLayer, "base", "2026-11-24T03:29:31.63094179Z"),
			volume(4, running, meta.RoleContainer, two, "2026-11-24T03:29:37.400998238Z"),
		},
		Containers: []meta.Container{
			{ID: "fada1fcd543b87e38df6765398891639ba71e94c34006135324d96889d96b40e", Name: "web-1", Volume: running, Image: web, Created: at("2026-11-24T03:29:37.411850334Z")},
			{ID: "0dbf60aa816bab1050d52b1ccfe0c37fee8c4e2396582f272aa7464a3c3ecafd", Name: "idle", Volume: idle, Image: small, Created: at("2026-11-24T03:29:39.694739038Z")},
		},
		Images: []meta.Image{
			{ID: small, Names: []string{"localhost/base:1"}, Volume: one, Created: at("2026-11-24T03:29:36.241722462Z")},
			{ID: web, Names: []string{"localhost/web:2", "localhost/web:latest"}, Volume: two, Created: at("2026-11-24T03:29:36.737866334Z")},
		},
	}
	if diff := cmp.Diff(want, cat); diff != "" {
		t.Error(diff)
	}
}

// Of each device of the pool, the transaction id is one less than in its record.
func TestTransactionIDsAreThoseOfThePool(t *testing.T) {
	t.Parallel()
	dir := pools.Storage(t)
	metadata, data := block.At(filepath.Join(dir, "meta")), block.At(filepath.Join(dir, "data"))
	cat, err := New(filepath.Join(dir, "root"), store.Options{Pool: &meta.Pool{Metadata: metadata, Data: data}}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	recorded := make(map[uint32]uint64)
	for _, v := range cat.Volumes {
		recorded[v.DeviceID] = v.TransactionID
	}
	p, err := reader.Open(t.Context(), metadata, data, reader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	n := 0
	for d, err := range p.Devices(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; recorded[d.ID] != d.TransactionID+1 {
			t.Errorf("device %d: transaction %d, %d recorded", d.ID, d.TransactionID, recorded[d.ID])
		}
	}
	if n != len(recorded) {
		t.Errorf("%d devices, %d recorded", n, len(recorded))
	}
}

func TestRootIsRecognisedByItsContentsAndNotAsDockers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(pools.Storage(t), "root")
	for _, path := range []string{dir, filepath.Join(dir, "devicemapper")} {
		if !Recognise(path) || docker.Recognise(path) {
			t.Errorf("%s: recognised: %v; as Docker's: %v", path, Recognise(path), docker.Recognise(path))
		}
		if got := New(path, store.Options{}).String(); got != "storage:"+dir {
			t.Error(got)
		}
	}
	other := pools.Docker(t)
	for _, path := range []string{other, filepath.Join(other, "devicemapper"), filepath.Join(dir, layersDir), filepath.Dir(dir)} {
		if Recognise(path) {
			t.Errorf("%s is recognised", path)
		}
	}
}

func TestEachNameOfAContainerIsOne(t *testing.T) {
	t.Parallel()
	r := newRoot(t, "a", "b")
	r.list(layersFile, map[string]any{"id": "a"})
	r.list(volatileLayersFile, map[string]any{"id": "b", "parent": "a"})
	r.list(containersFile, map[string]any{"id": "c", "names": []string{"x", "../y\n"}, "layer": "a"})
	r.list(volatileContainersFile, map[string]any{"id": "d", "layer": "b", "image": "i"})
	cat := r.load(0)
	want := []meta.Container{{ID: "c", Name: "x", Volume: "a"}, {ID: "c", Name: "../y\n", Volume: "a"}, {ID: "d", Volume: "b", Image: "i"}}
	if diff := cmp.Diff(want, cat.Containers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"base": "base", "a": "container base", "b": "container a"}, roles(cat)); diff != "" {
		t.Error(diff)
	}
}

func TestImagesWithoutNamesOrLayers(t *testing.T) {
	t.Parallel()
	r := newRoot(t, "a")
	r.list(layersFile, map[string]any{"id": "a"})
	r.list(imagesFile, map[string]any{"id": "i", "layer": "a"}, map[string]any{"id": "empty", "names": []string{"n"}})
	if diff := cmp.Diff([]meta.Image{{ID: "i", Volume: "a"}}, r.load(0).Images); diff != "" {
		t.Error(diff)
	}
}

func TestIncompleteLayerIsHalfMade(t *testing.T) {
	t.Parallel()
	r := newRoot(t, "a", "b", "c")
	r.list(layersFile, map[string]any{"id": "a", "flags": map[string]any{"incomplete": true}},
		map[string]any{"id": "b", "flags": map[string]any{"incomplete": "odd"}}, map[string]any{"id": "c", "flags": nil})
	for _, v := range r.load(0).Volumes {
		if want := map[string]meta.State{"a": meta.StateHalf}[v.Name]; v.State != want {
			t.Errorf("%s: %q", v.Name, v.State)
		}
	}
}

func TestDamagedRecordsAreWarnings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage     func(r *root)
		warnings   int
		containers int
		images     int
		roles      map[string]string
	}{
		"nothing":                   {func(r *root) {}, 0, 1, 1, map[string]string{"a": "layer base", "b": "container a"}},
		"no layers":                 {func(r *root) { r.list(layersFile) }, 1, 1, 1, map[string]string{"a": "volume", "b": "container"}},
		"a layer that is no object": {func(r *root) { r.write(`[7,{"id":"b"}]`, layersFile) }, 1, 1, 1, map[string]string{"a": "volume", "b": "container base"}},
		"layers that are cut short": {func(r *root) { r.write(`[{"id":"a"},{"id":"b"`, layersFile) }, 1, 1, 1, map[string]string{"a": "layer base", "b": "container"}},
		"a layer without a device": {func(r *root) {
			r.list(layersFile, map[string]any{"id": "a"}, map[string]any{"id": "b", "parent": "a"}, map[string]any{"id": "x"})
		}, 1, 1, 1, nil},
		"the base device as a layer": {func(r *root) { r.list(layersFile, map[string]any{"id": "base"}, map[string]any{"id": "b"}) }, 1, 1, 1, map[string]string{"a": "volume", "b": "container base"}},
		"an unknown parent":          {func(r *root) { r.list(layersFile, map[string]any{"id": "a"}, map[string]any{"id": "b", "parent": "x"}) }, 1, 1, 1, map[string]string{"a": "layer base", "b": "container"}},
		"two layers with one id": {func(r *root) {
			r.list(layersFile, map[string]any{"id": "a"}, map[string]any{"id": "b", "parent": "a"}, map[string]any{"id": "a", "parent": "b"})
		}, 1, 1, 1, map[string]string{"a": "layer base", "b": "container a"}},
		"a layer without an id": {func(r *root) {
			r.list(layersFile, map[string]any{"id": "a"}, map[string]any{"id": "b", "parent": "a"}, map[string]any{})
		}, 1, 1, 1, nil},
		"a loop": {func(r *root) {
			r.list(layersFile, map[string]any{"id": "a", "parent": "b"}, map[string]any{"id": "b", "parent": "a"})
		}, 1, 1, 1, nil},
		"a wrong time": {func(r *root) {
			r.list(layersFile, map[string]any{"id": "a", "created": "x"}, map[string]any{"id": "b"})
		}, 1, 1, 1, nil},
		"containers that are no array":   {func(r *root) { r.write("{}", containersFile) }, 1, 0, 1, map[string]string{"a": "layer base", "b": "volume a"}},
		"a container without a device":   {func(r *root) { r.list(containersFile, map[string]any{"id": "c", "layer": "x"}) }, 1, 0, 1, nil},
		"a container of the base device": {func(r *root) { r.list(containersFile, map[string]any{"id": "c", "layer": "base"}) }, 1, 0, 1, nil},
		"an image without a device":      {func(r *root) { r.list(imagesFile, map[string]any{"id": "c", "layer": "x"}) }, 1, 1, 0, nil},
		"images that are a number":       {func(r *root) { r.write("7", imagesFile) }, 1, 1, 0, nil},
		"empty files":                    {func(r *root) { r.write("", imagesFile); r.write("", containersFile) }, 0, 0, 0, map[string]string{"a": "layer base", "b": "layer a"}},
		"a link": {func(r *root) {
			path := filepath.Join(r.dir, containersFile)
			if err := errors.Join(os.Remove(path), os.Symlink("/nothing", path)); err != nil {
				r.t.Fatal(err)
			}
		}, 0, 0, 1, nil},
		"names without end": {func(r *root) {
			r.write(`[{"id":"c","layer":"b","names":["`+strings.Repeat(`","`, maxNames)+`"]}]`, containersFile)
		}, 1, 0, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, "a", "b")
			r.list(layersFile, map[string]any{"id": "a"}, map[string]any{"id": "b", "parent": "a"})
			r.list(imagesFile, map[string]any{"id": "i", "layer": "a", "names": []string{"n"}})
			r.list(containersFile, map[string]any{"id": "c", "layer": "b", "names": []string{"n"}})
			c.damage(r)
			cat := r.load(c.warnings)
			if len(cat.Containers) != c.containers || len(cat.Images) != c.images || len(cat.Volumes) != 3 {
				t.Errorf("%d volumes, %d containers, %d images", len(cat.Volumes), len(cat.Containers), len(cat.Images))
			}
			if c.roles != nil {
				c.roles["base"] = "base"
				if diff := cmp.Diff(c.roles, roles(cat)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestListsThatCannotBeReadAreLost(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.write("{", containersFile)
	r.write("{", imagesFile)
	if cat := r.load(2); cat.ContainersLost == nil || cat.ImagesLost == nil {
		t.Errorf("containers %v, images %v", cat.ContainersLost, cat.ImagesLost)
	}
	if cat := newRoot(t).load(0); cat.ContainersLost != nil || cat.ImagesLost != nil {
		t.Errorf("an empty root: containers %v, images %v", cat.ContainersLost, cat.ImagesLost)
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	if _, err := New(r.dir, store.Options{}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "--pool META,DATA") || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	load := func(o meta.Options) meta.Pool {
		t.Helper()
		s, err := System.Open(r.dir, o)
		if err != nil {
			t.Fatal(err)
		}
		cat, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return cat.Pools[0]
	}
	if p := load(meta.Options{Pool: "vg-pool"}); p.Device != "vg-pool" || !p.Metadata.IsNowhere() {
		t.Error(p)
	}
	r.write(`{"Device":"/dev/sdb"}`, storeDir+"/"+record.SetupFile)
	if p := load(meta.Options{}); p.Device != "storage-thinpool" {
		t.Error(p)
	}
	r.write("", storeDir+"/"+record.PoolMetadata)
	r.write("", storeDir+"/"+record.PoolData)
	if p := load(meta.Options{}); p.Device != "" || p.Metadata.IsNowhere() || p.Data.IsNowhere() {
		t.Error(p)
	}
}

func TestErrorForWhatIsNotARoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := New(dir, store.Options{}).Load(t.Context())
	if want := "storage:" + dir + ": devicemapper/metadata: no such directory: is this a containers/storage root with the devicemapper driver?"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestStampChangesWithTheCatalog(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *root){
		"a device":                 func(r *root) { r.write(`{"device_id":9,"size":512}`, recordsDir+"/new") },
		"a layer":                  func(r *root) { r.list(layersFile, map[string]any{"id": "a"}) },
		"a container":              func(r *root) { r.list(containersFile, map[string]any{"id": "c"}) },
		"a transient layer":        func(r *root) { r.list(volatileLayersFile, map[string]any{"id": "a"}) },
		"a transient container":    func(r *root) { r.list(volatileContainersFile, map[string]any{"id": "c"}) },
		"a name of an image":       func(r *root) { r.list(imagesFile, map[string]any{"id": "i"}) },
		"a pool on a block device": func(r *root) { r.write(`{"Device":"/dev/sdb"}`, storeDir+"/"+record.SetupFile) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, "a")
			settled := func() string {
				t.Helper()
				time.Sleep(2 * record.Tick)
				stamp, err := New(r.dir, elsewhere).Stamp(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return stamp
			}
			before := settled()
			if again := settled(); again != before {
				t.Errorf("%s, then %s without a change", before, again)
			}
			change(r)
			if after := settled(); after == before {
				t.Error("the stamp is the same")
			}
		})
	}
}

func TestContextEndsLoadAndStamp(t *testing.T) {
	t.Parallel()
	s := New(newRoot(t).dir, elsewhere)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := s.Stamp(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPlacesAreWhatIsRead(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	places := New(r.dir, elsewhere).Places()
	for _, path := range []string{r.dir, filepath.Join(r.dir, layersFile), "/m", "/d"} {
		if !slices.Contains(places, path) {
			t.Errorf("%s is missing in %q", path, places)
		}
	}
}

// Any records give a consistent catalog.
func FuzzRecords(f *testing.F) {
	real := filepath.Join(pools.Storage(f), "root")
	var seed [3][]byte
	for i, path := range []string{layersFile, imagesFile, containersFile} {
		text, err := os.ReadFile(filepath.Join(real, path))
		if err != nil {
			f.Fatal(err)
		}
		seed[i] = text
	}
	f.Add(seed[0], seed[1], seed[2])
	f.Add([]byte(`[{"id":"a","parent":"b"},{"id":"b","parent":"a","flags":{"incomplete":true}}]`), []byte(`[{"id":"i","layer":"a","names":["/../"]}]`), []byte(`[{"id":"c","names":["n",""],"layer":"b"}]`))
	f.Add([]byte("null"), []byte(""), []byte("[{}"))
	names := []string{"a", "b", "c"}
	entries, err := os.ReadDir(filepath.Join(real, recordsDir))
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if len(e.Name()) == 64 {
			names = append(names, e.Name())
		}
	}
	dir := newRoot(f, names...).dir
	f.Fuzz(func(t *testing.T, layers, images, containers []byte) {
		r := &root{t: t, dir: dir}
		r.write(string(layers), layersFile)
		r.write(string(images), imagesFile)
		r.write(string(containers), containersFile)
		cat, err := New(r.dir, elsewhere).Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		parents := make(map[string]string)
		for _, v := range cat.Volumes {
			parents[v.Name] = v.Parent
		}
		if len(parents) != len(names)+1 {
			t.Errorf("%d volumes", len(parents))
		}
		for name := range parents {
			steps := 0
			for at := name; at != ""; at = parents[at] {
				if _, ok := parents[at]; !ok {
					t.Fatalf("%q is no volume", at)
				}
				if steps++; steps > len(parents) {
					t.Fatalf("%q is its own ancestor", name)
				}
			}
		}
		for _, c := range cat.Containers {
			if _, ok := parents[c.Volume]; !ok || c.Volume == base {
				t.Errorf("%+v", c)
			}
		}
		for _, i := range cat.Images {
			if _, ok := parents[i.Volume]; !ok || i.Volume == base {
				t.Errorf("%+v", i)
			}
		}
		for _, w := range cat.Warnings {
			if len(w.Error()) > 2000 {
				t.Errorf("a warning of %d bytes", len(w.Error()))
			}
		}
	})
}
