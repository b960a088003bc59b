package deviceset

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thintree/meta/docker"
	"thintree/meta/record"
	"thintree/tests/manifest"
	"thintree/tests/pools"
	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/pdata"
)

// webLayer is the topmost layer of the fixture's image web:2.
const webLayer = "622ffbffe25c76e8242bfdb646d7ea1c35a76df60390be769033e92ce4636353"

// dockerInKernel adds a device to a store that Docker made.
func dockerInKernel(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	if err := pools.Unpack(dir, "docker-ext4"); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "docker/devicemapper")
	before := volumes(t, root)

	// The fixture's pool is small: less than Docker's default minimum is free.
	s, err := NewDeviceSet(ctx, root, false, []string{"dm.min_free_space=0%"})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := s.Status(ctx); err != nil || st.Problems != nil || st.Devices != len(before) {
		t.Errorf("%+v, %v; want %d devices", st, err, len(before))
	}
	mnt := t.TempDir()
	if err := errors.Join(s.AddDevice(ctx, "added", webLayer, 0), s.MountDevice(ctx, "added", mnt, "")); err != nil {
		t.Fatal(err)
	}
	want, err := manifest.Read(strings.NewReader(pools.Truth(t, "docker-ext4")[webLayer]))
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.OfDir(ctx, mnt, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := manifest.Diff(want, got); diff != "" {
		t.Errorf("the snapshot's files are not those of the layer:\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(mnt, "rootfs/added"), bytes.Repeat([]byte("added"), 1<<20), 0o600); err != nil {
		t.Error(err)
	}
	gone(t, s)

	after := volumes(t, root)
	if after["added"] == "" || after["added"] == before[webLayer] {
		t.Error("the added device is missing, or has no data of its own")
	}
	delete(after, "added")
	if !maps.Equal(before, after) {
		t.Errorf("other volumes have changed:\n%v\n%v", before, after)
	}
	c, err := docker.New(filepath.Dir(root), docker.Options{}).Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Volumes) != len(before)+1 || len(c.Warnings) > 0 {
		t.Errorf("docker: shows %d volumes, %v; want %d", len(c.Volumes), c.Warnings, len(before)+1)
	}
}

// volumes returns a hash of the data of each volume of a closed store.
func volumes(t *testing.T, root string) map[string]string {
	t.Helper()
	devices, damaged, err := record.ReadDir(t.Context(), filepath.Join(root, record.RecordsDir))
	if err := errors.Join(append(damaged, err)...); err != nil {
		t.Fatal(err)
	}
	metadataPath, dataPath := storeFiles(root)
	metadata, err := block.Open(metadataPath, block.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Close()
	m, err := pdata.Open(t.Context(), metadata, metadata.Size(), pdata.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.Open(dataPath)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	blocks := dataBlocks{data, make([]byte, m.Superblock().DataBlockSize*blockdev.SectorBytes), map[uint64][sha256.Size]byte{}}
	hashes := map[string]string{}
	for name, d := range devices {
		mappings, err := m.Mappings(t.Context(), d.ID)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		sum := sha256.New()
		for run, err := range mappings.Runs(t.Context(), 0, math.MaxUint64) {
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if !run.Mapped {
				continue
			}
			for i := range run.Length {
				block, err := blocks.hash(run.Data + i)
				if err != nil {
					t.Fatalf("%q: %v", name, err)
				}
				fmt.Fprintf(sum, "%d %x\n", run.Virtual+i, block)
			}
		}
		hashes[name] = fmt.Sprintf("%x", sum.Sum(nil)[:8])
	}
	return hashes
}

// dataBlocks hashes a pool's data blocks, each once, because most are in several volumes.
type dataBlocks struct {
	data   *os.File
	buffer []byte
	known  map[uint64][sha256.Size]byte
}

func (b dataBlocks) hash(block uint64) ([sha256.Size]byte, error) {
	if sum, ok := b.known[block]; ok {
		return sum, nil
	}
	if _, err := b.data.ReadAt(b.buffer, int64(block)*int64(len(b.buffer))); err != nil {
		return [sha256.Size]byte{}, err
	}
	b.known[block] = sha256.Sum256(b.buffer)
	return b.known[block], nil
}

// A store that this package made works in a Docker root.
func TestStoreIsReadAsDockersOwn(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.root = filepath.Join(filepath.Dir(f.root), "devicemapper")
	s := f.mustOpen(t)
	if err := errors.Join(s.AddDevice(t.Context(), "a", "", 128<<20), s.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{record.PoolMetadata, record.PoolData} {
		if err := os.MkdirAll(filepath.Join(f.root, record.PoolDir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command("truncate", "-s", "1M", filepath.Join(f.root, name)).Run(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := docker.New(filepath.Dir(f.root), docker.Options{}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, v := range c.Volumes {
		sizes[v.Name] = v.SizeBytes
	}
	if want := map[string]int64{"base": 64 << 20, "a": 128 << 20}; !maps.Equal(sizes, want) {
		t.Errorf("volumes %v, want %v; %v", sizes, want, c.Warnings)
	}
}
