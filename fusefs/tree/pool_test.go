package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"thintree/meta"
	"thintree/thin/block"
	"thintree/thin/pdata"
)

// metadataBlock is the length of a block of a pool's metadata in bytes.
const metadataBlock = 4096

// Offsets of the roots of the two trees of devices in the superblock of metadata, in bytes.
const (
	mappingRoot = 320
	detailsRoot = 328
)

// copyPool copies a pool for a test to change.
func copyPool(t *testing.T, p meta.Pool) meta.Pool {
	t.Helper()
	dir := t.TempDir()
	for _, half := range []*block.Location{&p.Metadata, &p.Data} {
		text, err := os.ReadFile(half.String())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(half.String()))
		*half = block.At(path)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// manyDevices is how many empty devices manyPool has: enough for three leaves of the device
// tree, and for even more of the details tree.
const manyDevices = 600

// manyPool is a pool with the devices 0 to manyDevices-1. None has any mappings.
func manyPool(t *testing.T) meta.Pool {
	t.Helper()
	needTools(t)
	var devices strings.Builder
	for id := range manyDevices {
		devices.WriteString(deviceXML(id, 0, 0))
	}
	p, err := restorePool(t.TempDir(), devices.String(), make([]byte, poolBlock))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// edit changes a pool's metadata. change must seal the blocks that are to stay valid.
func edit(t *testing.T, p meta.Pool, change func(metadata []byte)) {
	t.Helper()
	text, err := os.ReadFile(p.Metadata.String())
	if err != nil {
		t.Fatal(err)
	}
	change(text)
	if err := os.WriteFile(p.Metadata.String(), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func blockOf(metadata []byte, n uint64) []byte { return metadata[n*metadataBlock:][:metadataBlock] }

// seal writes a block's number and checksum into it. Nodes and the superblock have different
// salts.
func seal(p []byte, number uint64, salt uint32) {
	binary.LittleEndian.PutUint64(p[8:], number)
	binary.LittleEndian.PutUint32(p, ^crc32.Checksum(p[4:], crc32.MakeTable(crc32.Castagnoli))^salt)
}

const (
	nodeSalt       = 121107
	superblockSalt = 160774
)

// ruin damages the root of a tree of devices.
func ruin(root int) func(metadata []byte) {
	return func(metadata []byte) { blockOf(metadata, binary.LittleEndian.Uint64(metadata[root:]))[100] ^= 1 }
}

// ruinLeaf damages that child of the root of a tree of devices which contains the device id.
func ruinLeaf(root int, id uint64) func(metadata []byte) {
	return func(metadata []byte) {
		le := binary.LittleEndian
		p := blockOf(metadata, le.Uint64(metadata[root:]))
		count, room := int(le.Uint32(p[16:])), int(le.Uint32(p[20:]))
		at := 0
		for at+1 < count && le.Uint64(p[32+8*(at+1):]) <= id {
			at++
		}
		blockOf(metadata, le.Uint64(p[32+8*(room+at):]))[100] ^= 1
	}
}

func ruinAll(ruins ...func([]byte)) func([]byte) {
	return func(metadata []byte) {
		for _, f := range ruins {
			f(metadata)
		}
	}
}

// tryTree makes a tree, and returns the error if that fails.
func tryTree(t *testing.T, o Options, sources ...meta.Source) (*Tree, error) {
	t.Helper()
	o.MaxActive, o.Log = 4, slog.New(slog.DiscardHandler)
	tree, err := New(t.Context(), sources, o)
	if err == nil {
		t.Cleanup(func() {
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return tree, err
}

// listed lists a folder of the tree. After an error it returns the names until then.
func listed(t *testing.T, tree *Tree, path string) (names []string, err error) {
	t.Helper()
	at, err := tree.Walk(t.Context(), RootID, path, true)
	if err != nil {
		return nil, err
	}
	d, err := tree.OpenDir(t.Context(), at.ID, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	err = d.ReadDir(t.Context(), 0, false, func(e DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	})
	return names, err
}

// cannot fails the test unless err is an I/O error whose text contains says.
func cannot(t *testing.T, what string, err error, says string) {
	t.Helper()
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want EIO and %q", what, err, says)
	}
}

func TestPoolWhoseDevicesCannotBeListedIsAnError(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]byte){
		"both roots": ruinAll(ruin(mappingRoot), ruin(detailsRoot)),
		"every leaf": ruinAll(ruinLeaves(mappingRoot), ruinLeaves(detailsRoot)),
		"cut off":    func(metadata []byte) { clear(metadata[metadataBlock:]) },
		"other nodes": func(metadata []byte) {
			copy(metadata[mappingRoot:], metadata[detailsRoot:detailsRoot+8])
			seal(metadata[:metadataBlock], 0, superblockSalt)
			ruin(detailsRoot)(metadata)
		},
	} {
		pool := manyPool(t)
		edit(t, pool, change)
		for kind, cat := range map[string]meta.Catalog{
			"bare":    {Pools: []meta.Pool{pool}},
			"records": {Pools: []meta.Pool{pool}, Volumes: []meta.Volume{{Name: "a", Pool: "pool", DeviceID: 7, SizeBytes: deviceBytes}}},
		} {
			_, err := tryTree(t, Options{}, &named{name: "pool:/m,/d", cat: cat})
			if !errors.As(err, new(*pdata.DamageError)) {
				t.Errorf("%s, %s: %v, want damage", name, kind, err)
			}
		}
	}
}

// ruinLeaves damages all children of the root of a tree.
func ruinLeaves(root int) func(metadata []byte) {
	return func(metadata []byte) {
		le := binary.LittleEndian
		p := blockOf(metadata, le.Uint64(metadata[root:]))
		count, room := int(le.Uint32(p[16:])), int(le.Uint32(p[20:]))
		for i := range count {
			binary.LittleEndian.PutUint32(blockOf(metadata, le.Uint64(p[32+8*(room+i):])), 0xbadbad)
		}
	}
}

func TestOneTreeOfDevicesIsEnoughToListThem(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]byte){
		"the device tree": ruin(mappingRoot),
		"the details":     ruin(detailsRoot),
		"other ranges":    ruinAll(ruinLeaf(mappingRoot, 0), ruinLeaf(detailsRoot, 599)),
	} {
		pool := manyPool(t)
		edit(t, pool, change)
		tree := newTree(t, &named{name: "pool:/m,/d", cat: meta.Catalog{Pools: []meta.Pool{pool}}})
		for _, dir := range []string{"by-id/pool", "volumes", "raw", "info"} {
			if got, err := listed(t, tree, dir); len(got) < manyDevices || err != nil {
				t.Errorf("%s: %s has %d entries, %v, want %d", name, dir, len(got), err, manyDevices)
			}
		}
		if len(tree.Warnings()) == 0 {
			t.Errorf("%s: no warning", name)
		}
	}
}

func TestIncompleteListingEndsWithAnError(t *testing.T) {
	t.Parallel()
	pool := manyPool(t)
	edit(t, pool, ruinAll(ruinLeaf(mappingRoot, 300), ruinLeaf(detailsRoot, 300)))
	bare := &named{name: "pool:/m,/d", cat: meta.Catalog{Pools: []meta.Pool{pool}}}
	tree := newTree(t, bare)
	for _, dir := range []string{"by-id/pool", "volumes", "raw", "info"} {
		got, err := listed(t, tree, dir)
		if len(got) < 100 || len(got) >= 2*manyDevices {
			t.Errorf("%s has %d entries", dir, len(got))
		}
		cannot(t, dir, err, "cannot be read")
	}
	for _, path := range []string{"by-id/pool/300", "volumes/@300", "raw/@300.img", "info/@300.json"} {
		_, err := tree.Walk(t.Context(), RootID, path, true)
		cannot(t, path, err, "cannot be read")
	}
	_, err := tree.Find(t.Context(), "@300")
	cannot(t, "@300", err, "cannot be read")
	if _, err := tree.Walk(t.Context(), RootID, "containers/x", true); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("containers/x: %v, want ENOENT", err)
	}
}

func TestListingOfNamesFromRecordsIsComplete(t *testing.T) {
	t.Parallel()
	pool := manyPool(t)
	edit(t, pool, ruinAll(ruinLeaf(mappingRoot, 300), ruinLeaf(detailsRoot, 300)))
	cat := meta.Catalog{Pools: []meta.Pool{pool}}
	for id := range uint32(manyDevices) {
		cat.Volumes = append(cat.Volumes, meta.Volume{Name: fmt.Sprint("v", id), Pool: "pool", DeviceID: id, SizeBytes: deviceBytes})
	}
	tree := newTree(t, &named{name: "docker:/d", cat: cat})
	for _, dir := range []string{"volumes", "raw", "info"} {
		if got, err := listed(t, tree, dir); len(got) != manyDevices || err != nil {
			t.Errorf("%s has %d entries, %v, want %d", dir, len(got), err, manyDevices)
		}
	}
	_, err := listed(t, tree, "by-id/pool")
	cannot(t, "by-id/pool", err, "cannot be read")
	_, err = listed(t, tree, "volumes/v300")
	cannot(t, "volumes/v300", err, "device tree")
	var v VolumeInfo
	readJSON(t, tree, "info/v300.json", &v)
	if !strings.Contains(v.Problem, "device tree") {
		t.Errorf("problem %q, want the damage of the device tree", v.Problem)
	}
}

func TestPoolThatCannotBeListedAgainKeepsItsLastState(t *testing.T) {
	t.Parallel()
	pool := manyPool(t)
	tree := newTree(t, &named{name: "pool:/m,/d", cat: meta.Catalog{Pools: []meta.Pool{pool}}})
	edit(t, pool, func(metadata []byte) {
		ruinAll(ruin(mappingRoot), ruin(detailsRoot))(metadata)
		metadata[48]++ // the transaction id
		seal(metadata[:metadataBlock], 0, superblockSalt)
	})
	for range 2 {
		err := lookFor(t, tree)
		cannot(t, "a refresh", err, "cannot be read")
		if got := names(t, tree, "by-id/pool"); len(got) != manyDevices {
			t.Errorf("by-id/pool has %d entries, want %d", len(got), manyDevices)
		}
	}
}
