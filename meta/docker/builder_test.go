package docker

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"thintree/meta"
	"thintree/meta/record"
)

const poolDir = storeDir + "/" + record.PoolDir

// root is a Docker root that a test makes.
type root struct {
	t   testing.TB
	dir string
	id  int // the id of the last device
}

// newRoot makes a root like Docker at its first start: with the base device, no names of
// images, and a pool with the transaction id 100.
func newRoot(t testing.TB) *root {
	t.Helper()
	r := &root{t: t, dir: filepath.Join(t.TempDir(), "docker")}
	r.device("base")
	r.names(nil)
	r.pool(100)
	return r
}

// hexID is an id of 64 digits, made from a name.
func hexID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

func (r *root) path(parts ...string) string {
	return filepath.Join(append([]string{r.dir}, parts...)...)
}

func (r *root) write(text string, parts ...string) {
	r.t.Helper()
	path := r.path(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	// As Docker does: written to a temporary file, and renamed.
	tmp := filepath.Join(r.dir, "tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		r.t.Fatal(err)
	}
}

func (r *root) remove(parts ...string) {
	r.t.Helper()
	if err := os.RemoveAll(r.path(parts...)); err != nil {
		r.t.Fatal(err)
	}
}

// device adds a device with the next id.
func (r *root) device(hash string) {
	r.t.Helper()
	r.id++
	r.write(fmt.Sprintf(`{"device_id":%d,"size":1073741824,"transaction_id":%d,"initialized":false,"deleted":false}`, r.id, r.id), recordsDir, hash)
}

// pool makes the pool's files, with a superblock that has a transaction id.
func (r *root) pool(transaction uint64) {
	r.t.Helper()
	sb := make([]byte, 4096)
	le := binary.LittleEndian
	le.PutUint64(sb[32:], 27022010)    // magic
	le.PutUint32(sb[40:], 2)           // version
	le.PutUint64(sb[48:], transaction) // trans_id
	le.PutUint32(sb[336:], 128)        // data_block_size
	le.PutUint32(sb[340:], 8)          // metadata_block_size
	le.PutUint32(sb, ^crc32.Checksum(sb[4:], crc32.MakeTable(crc32.Castagnoli))^160774)
	r.write(string(sb), poolDir, "metadata")
	r.write("", poolDir, "data")
}

// layers adds a chain of layers, from the lowest up, with a device for each, unless they
// exist. It returns their diff ids and chain ids, as digests.
func (r *root) layers(names ...string) (diffs, chains []string) {
	r.t.Helper()
	for i, name := range names {
		diff := "sha256:" + hexID("diff "+name)
		chain := diff
		if i > 0 {
			chain = "sha256:" + hexID(chains[i-1]+" "+diff)
		}
		diffs, chains = append(diffs, diff), append(chains, chain)
		if _, err := os.Stat(r.path(layersDir, chain[7:])); err == nil {
			continue
		}
		r.device(hexID(name))
		r.write(hexID(name), layersDir, chain[7:], "cache-id")
		r.write(diff, layersDir, chain[7:], "diff")
		if i > 0 {
			r.write(chains[i-1], layersDir, chain[7:], "parent")
		}
	}
	return diffs, chains
}

// image adds an image with layers. It returns its id, and the chain id of its topmost layer
// as a digest.
func (r *root) image(name string, layers ...string) (id, top string) {
	r.t.Helper()
	diffs, chains := r.layers(layers...)
	text, err := json.Marshal(map[string]any{"os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
	if err != nil {
		r.t.Fatal(err)
	}
	id = hexID("image " + name)
	r.write(string(text), imagesDir, id)
	if len(chains) > 0 {
		top = chains[len(chains)-1]
	}
	return id, top
}

// names writes repositories.json: image ids by reference.
func (r *root) names(images map[string]string) {
	r.t.Helper()
	references := make(map[string]string)
	for name, id := range images {
		references[name] = "sha256:" + id
	}
	text, err := json.Marshal(map[string]any{"Repositories": map[string]any{"any": references}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(string(text), namesFile)
}

// container adds a container with a mount on the layer top, and the mount's devices. It
// returns the container's id. The container's volume is hexID(key+" mount").
func (r *root) container(key, name, top string) (id string) {
	r.t.Helper()
	id = hexID(key)
	r.config(id, map[string]any{"ID": id, "Name": name, "Image": "sha256:1234", "Driver": "devicemapper", "State": map[string]any{"Running": true}})
	volume := hexID(key + " mount")
	r.device(volume + "-init")
	r.device(volume)
	r.write(volume, mountsDir, id, "mount-id")
	r.write(volume+"-init", mountsDir, id, "init-id")
	r.write(top, mountsDir, id, "parent")
	return id
}

func (r *root) config(id string, config map[string]any) {
	r.t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(string(text), containersDir, id, configFile)
}

func (r *root) source() meta.Source { return New(r.dir, Options{}) }

// load loads the root, and checks the number of warnings.
func (r *root) load(warnings int) *meta.Catalog {
	r.t.Helper()
	cat, err := r.source().Load(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if len(cat.Warnings) != warnings {
		r.t.Errorf("%d warnings instead of %d: %v", len(cat.Warnings), warnings, cat.Warnings)
	}
	return cat
}

// volume finds a volume in a catalog.
func volume(t testing.TB, cat *meta.Catalog, name string) meta.Volume {
	t.Helper()
	for _, v := range cat.Volumes {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no volume %s", name)
	return meta.Volume{}
}

// containerNames are the names of a catalog's containers, by volume.
func containerNames(cat *meta.Catalog) map[string]string {
	names := make(map[string]string)
	for _, c := range cat.Containers {
		names[c.Volume] = c.Name
	}
	return names
}

// imageNames are the names of a catalog's images, by id.
func imageNames(cat *meta.Catalog) map[string][]string {
	names := make(map[string][]string)
	for _, i := range cat.Images {
		names[i.ID] = i.Names
	}
	return names
}
