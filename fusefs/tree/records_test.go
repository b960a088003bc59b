package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"thintree/fusefs/volume"
	"thintree/meta"
)

// recorded is a record of a volume that was created in a transaction. The devices of a smallPool
// were all created in transaction 1.
func recorded(name string, id uint32, transaction uint64) meta.Volume {
	v := volumeRecord(name, id)
	v.Role, v.TransactionID = meta.RoleContainer, transaction
	return v
}

func TestRecordDoesNotShowAnotherDeviceWithItsID(t *testing.T) {
	t.Parallel()
	mine := recorded("mine", linksID, 5)
	mine.Root = "rootfs"
	tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{mine, recorded("fits", partsID, 1), recorded("unsized", zerosID, 9)},
		Containers: []meta.Container{{ID: "1", Name: "web", Volume: "mine"}},
	}})
	const says = "device 1 of the pool was created in transaction 1, but the record says 5: it is another device"
	for _, dir := range []string{"volumes/mine", "containers/web"} {
		_, err := listed(t, tree, dir)
		cannot(t, dir, err, says)
	}
	image, err := tree.Walk(t.Context(), RootID, "raw/mine.img", true)
	if err != nil || image.Attr.Blocks != 0 {
		t.Errorf("raw/mine.img: %d blocks, %v, want none", image.Attr.Blocks, err)
	}
	_, err = tree.Open(t.Context(), image.ID)
	cannot(t, "raw/mine.img", err, says)
	var v VolumeInfo
	readJSON(t, tree, "info/mine.json", &v)
	if !strings.Contains(v.Problem, says) || v.Filesystem != nil || len(v.Found.Signatures) > 0 || v.MappedBytes != 0 || v.Holds == "data of no known kind" {
		t.Errorf("info describes another device: %+v", v)
	}
	// The device that has the id now is shown by that id.
	if link, err := tree.Walk(t.Context(), RootID, "by-id/pool/1", false); err != nil {
		t.Error(err)
	} else if target, err := tree.Readlink(t.Context(), link.ID); err != nil || target != "../../volumes/@1" {
		t.Errorf("by-id/pool/1 leads to %s, %v", target, err)
	}
	if got, err := listed(t, tree, "volumes/@1"); err != nil || !slices.Contains(got, "rootfs") {
		t.Errorf("volumes/@1 lists %q, %v", got, err)
	}
	if got, want := names(t, tree, "volumes"), 5; len(got) != want {
		t.Errorf("volumes lists %q, want %d", got, want)
	}
	warnings := tree.Warnings()
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "mine") || !strings.Contains(warnings[0].Error(), "unsized") {
		t.Errorf("warnings %q, want one that names both", warnings)
	}
}

func TestOfTwoRecordsWithOneIDTheOneThatFitsIsShown(t *testing.T) {
	t.Parallel()
	for _, cat := range [][]meta.Volume{
		{recorded("a", linksID, 1), recorded("b", linksID, 9)},
		{recorded("b", linksID, 1), recorded("a", linksID, 9)},
	} {
		fits, other := cat[0].Name, cat[1].Name
		tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: cat}})
		if got, err := listed(t, tree, "volumes/"+fits); err != nil || !slices.Contains(got, "rootfs") {
			t.Errorf("%s lists %q, %v", fits, got, err)
		}
		_, err := listed(t, tree, "volumes/"+other)
		cannot(t, other, err, "it is another device")
		if link, err := tree.Walk(t.Context(), RootID, "by-id/pool/1", false); err != nil {
			t.Error(err)
		} else if target, err := tree.Readlink(t.Context(), link.ID); err != nil || target != "../../volumes/"+fits {
			t.Errorf("by-id/pool/1 leads to %s, %v", target, err)
		}
		alone := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: cat[:1]}})
		here, err := tree.Walk(t.Context(), RootID, "volumes/"+fits, true)
		there, err2 := alone.Walk(t.Context(), RootID, "volumes/"+fits, true)
		if err != nil || err2 != nil || here.Attr.Ino != there.Attr.Ino {
			t.Errorf("inode %d, %v, without the other record %d, %v", here.Attr.Ino, err, there.Attr.Ino, err2)
		}
	}
}

func TestRecordThatCannotBeCheckedIsShown(t *testing.T) {
	t.Parallel()
	damaged := copyPool(t, smallPool(t))
	edit(t, damaged, ruin(detailsRoot))
	for name, source := range map[string]meta.Catalog{
		"no transaction":  {Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{recorded("a", linksID, 0)}},
		"damaged details": {Pools: []meta.Pool{damaged}, Volumes: []meta.Volume{recorded("a", linksID, 7)}},
	} {
		tree := newTree(t, &named{name: "docker:/d", cat: source})
		if got, err := listed(t, tree, "volumes/a"); err != nil || !slices.Contains(got, "rootfs") {
			t.Errorf("%s: it lists %q, %v", name, got, err)
		}
	}
}

// remake changes a device's transaction id in the leaf details of the details tree.
func remake(metadata []byte, details uint64, id uint64, transaction uint64) {
	le := binary.LittleEndian
	p := blockOf(metadata, details)
	count, room := int(le.Uint32(p[16:])), int(le.Uint32(p[20:]))
	for i := range count {
		if le.Uint64(p[32+8*i:]) == id {
			le.PutUint64(p[32+8*room+24*i+8:], transaction)
		}
	}
	seal(p, details, nodeSalt)
}

func TestRecordFitsTheDeviceOfTheMetadataSnapshot(t *testing.T) {
	t.Parallel()
	pool := copyPool(t, smallPool(t))
	edit(t, pool, func(metadata []byte) {
		le := binary.LittleEndian
		const heldAt, detailsAt = 900, 901 // free blocks
		details := le.Uint64(metadata[detailsRoot:])
		copy(blockOf(metadata, detailsAt), blockOf(metadata, details))
		seal(blockOf(metadata, detailsAt), detailsAt, nodeSalt)
		held := blockOf(metadata, heldAt)
		copy(held, metadata[:metadataBlock])
		le.PutUint64(held[detailsRoot:], detailsAt)
		seal(held, heldAt, superblockSalt)
		remake(metadata, details, linksID, 7)
		le.PutUint64(metadata[56:], heldAt)
		seal(metadata[:metadataBlock], 0, superblockSalt)
	})
	s := &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{pool}, Volumes: []meta.Volume{recorded("then", linksID, 1), recorded("now", linksID, 8)},
	}}
	for held, fits := range map[bool]string{false: "now", true: "then"} {
		tree, err := tryTree(t, Options{Options: volume.Options{HeldRoot: held}}, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"now", "then"} {
			got, err := listed(t, tree, "volumes/"+name)
			if name == fits && (err != nil || !slices.Contains(got, "rootfs")) {
				t.Errorf("held root %v: %s lists %q, %v", held, name, got, err)
			} else if name != fits {
				cannot(t, name, err, "it is another device")
			}
		}
	}
}

func TestDeviceThatBecomesAnotherIsNoLongerShown(t *testing.T) {
	t.Parallel()
	pool := copyPool(t, smallPool(t))
	tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{recorded("a", linksID, 1)}}})
	names(t, tree, "volumes/a")
	edit(t, pool, func(metadata []byte) {
		remake(metadata, binary.LittleEndian.Uint64(metadata[detailsRoot:]), linksID, 7)
		metadata[48]++
		seal(metadata[:metadataBlock], 0, superblockSalt)
	})
	look(t, tree)
	_, err := listed(t, tree, "volumes/a")
	cannot(t, "volumes/a", err, "created in transaction 8, but the record says 1")
	if got := names(t, tree, "volumes/@1"); !slices.Contains(got, "rootfs") {
		t.Errorf("volumes/@1 lists %q", got)
	}
}

func TestRecordOfAMissingDeviceIsAWarning(t *testing.T) {
	t.Parallel()
	tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{recorded("a", 77, 78)},
	}})
	if _, err := listed(t, tree, "volumes/a"); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("volumes/a: %v, want ENXIO", err)
	}
	if list := tree.Warnings(); len(list) != 1 || !strings.Contains(list[0].Error(), "a") {
		t.Errorf("warnings %q, want one", list)
	}
}

// baseRecord is the record of a base device of smallPool, with the UUID of its filesystem.
func baseRecord(id uint32, uuid string) meta.Volume {
	v := recorded("base", id, 1)
	v.Role, v.FilesystemUUID = meta.RoleBase, uuid
	return v
}

func TestPoolWithAnotherBaseIsAnError(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	s := &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{volumeRecord("base", linksID)}}}
	var v VolumeInfo
	readJSON(t, newTree(t, s), "info/base.json", &v)
	right, wrong := v.Filesystem.UUID, "11111111-2222-3333-4444-555555555555"
	for name, test := range map[string]struct {
		base  meta.Volume
		fails bool
	}{
		"right":              {baseRecord(linksID, right), false},
		"right, in capitals": {baseRecord(linksID, strings.ToUpper(right)), false},
		"another":            {baseRecord(linksID, wrong), true},
		"none recorded":      {baseRecord(linksID, ""), false},
		"no filesystem":      {baseRecord(zerosID, wrong), false},
		"no device":          {baseRecord(77, wrong), false},
	} {
		_, err := tryTree(t, Options{}, &named{name: "docker:/d", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{test.base}}})
		switch {
		case !test.fails && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.fails && err == nil:
			t.Errorf("%s: no error", name)
		case test.fails:
			for _, says := range []string{right, wrong, pool.Metadata.String(), "--pool"} {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v does not say %s", name, err, says)
				}
			}
		}
	}
}

func TestPoolThatTurnsOutToBeAnotherIsNoLongerShown(t *testing.T) {
	t.Parallel()
	cat := meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{baseRecord(linksID, ""), recorded("other", partsID, 1)}}
	s := &named{name: "docker:/d", cat: cat}
	tree := newTree(t, s)
	base, err := tree.Walk(t.Context(), RootID, "volumes/base", true)
	if err != nil {
		t.Fatal(err)
	}
	say := func(uuid string) {
		s.change(func(s *named) {
			s.cat.Volumes = []meta.Volume{baseRecord(linksID, uuid), recorded("other", partsID, 1)}
		})
	}
	say("11111111-2222-3333-4444-555555555555")
	for range 2 {
		err = lookFor(t, tree)
		if err == nil || !strings.Contains(err.Error(), "--pool") {
			t.Errorf("%v, want an error that says that the pool is another one", err)
		}
		for _, dir := range []string{"volumes/base", "volumes/other", "volumes/@3"} {
			_, err := listed(t, tree, dir)
			cannot(t, dir, err, "--pool")
		}
		if _, err := tree.Lookup(t.Context(), base.ID, "rootfs"); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("in the old volumes/base: %v, want ESTALE", err)
		}
	}
	say("")
	look(t, tree)
	if got, err := listed(t, tree, "volumes/base"); err != nil || !slices.Contains(got, "rootfs") {
		t.Errorf("volumes/base lists %q, %v", got, err)
	}
}

func TestListingOfContainersEndsWithAnErrorIfRecordsAreMissing(t *testing.T) {
	t.Parallel()
	lost := fmt.Errorf("containers: %w", syscall.EIO)
	tree := newTree(t, &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID)},
		Containers: []meta.Container{{ID: "1", Name: "web", Volume: "a"}}, ContainersLost: lost, ImagesLost: lost,
	}})
	for dir, count := range map[string]int{"containers": 1, "images": 0} {
		got, err := listed(t, tree, dir)
		if len(got) != count {
			t.Errorf("%s lists %q", dir, got)
		}
		cannot(t, dir, err, "containers")
	}
	if _, err := listed(t, tree, "containers/web"); err != nil {
		t.Error(err)
	}
	if _, err := listed(t, tree, "volumes"); err != nil {
		t.Error(err)
	}
}

func TestPoolOfAnotherTransactionIsAnError(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	for id, fails := range map[uint64]bool{0: false, 1: false, 2: false, 3: true} { // the pool's is 1
		pool.TransactionID = id
		_, err := tryTree(t, Options{}, &named{name: "lvm:/d", cat: meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{volumeRecord("a", linksID)}}})
		if fails != (err != nil) || fails && !strings.Contains(err.Error(), fmt.Sprintf("its transaction id is 1, but the records say %d", id)) {
			t.Errorf("recorded %d: %v", id, err)
		}
	}
}

func TestPoolWithoutMostOfTheRecordedDevicesIsAnother(t *testing.T) {
	t.Parallel()
	pool := smallPool(t)
	pool.ByDevices = true
	here, missing, half := volumeRecord("here", linksID), volumeRecord("missing", 77), volumeRecord("half", 78)
	half.State = meta.StateHalf
	cat := meta.Catalog{Pools: []meta.Pool{pool}, Volumes: []meta.Volume{here, missing, half, volumeRecord("there", partsID)}}
	tree := newTree(t, &named{name: "containerd:/d", cat: cat})
	_, err := listed(t, tree, "volumes/missing")
	if !errors.Is(err, syscall.ENXIO) {
		t.Errorf("a missing device: %v, want ENXIO", err)
	}
	cat.Volumes = cat.Volumes[:3]
	if _, err := tryTree(t, Options{}, &named{name: "containerd:/d", cat: cat}); err == nil || !strings.Contains(err.Error(), "lacks 1 of the 2 devices") {
		t.Errorf("a pool with one of two devices: %v", err)
	}
	forced := Options{Options: volume.Options{ForceNames: true}}
	if tree, err := tryTree(t, forced, &named{name: "containerd:/d", cat: cat}); err != nil {
		t.Errorf("forced: %v", err)
	} else if got, err := listed(t, tree, "volumes/here"); err != nil || !slices.Contains(got, "rootfs") {
		t.Errorf("forced, a volume lists %q, %v", got, err)
	}
}

func TestDeviceThatIsNoSnapshotOfItsParentIsAnother(t *testing.T) {
	t.Parallel()
	child := volumeRecord("child", partsID)
	child.Parent = "parent"
	tree := newTree(t, &named{name: "containerd:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("parent", linksID), child}, // nobody made snapshots in the pool
	}})
	_, err := listed(t, tree, "volumes/child")
	cannot(t, "volumes/child", err, "nobody made a snapshot of device 1")
}
