package lvm

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/tests/pools"
	"thintree/thin/block"
	"thintree/thin/pdata"
)

// reader is a block.Reader without holes.
type reader struct{ *bytes.Reader }

func (r reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(p, off)
}

func (r reader) Size() int64 { return r.Reader.Size() }

func (r reader) NextData(_ context.Context, off int64) (int64, error) {
	if off >= r.Size() {
		return 0, io.EOF
	}
	return off, nil
}

func (r reader) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= r.Size() {
		return 0, io.EOF
	}
	return r.Size(), nil
}

func TestRealGroupIsRead(t *testing.T) {
	t.Parallel()
	disk := pools.LVM(t)
	c, err := New(disk).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const extent, start = 4 << 20, 1 << 20
	at := func(first, extents int64) block.Location {
		return linearAt(t, block.Piece{In: block.At(disk), Offset: start + first*extent, Length: extents * extent})
	}
	volume := func(name, uuid string, extents int64, created int64) meta.Volume {
		return meta.Volume{
			Name: "vg0/" + name, Role: meta.RoleVolume, SizeBytes: extents * extent, UUID: uuid, Created: time.Unix(created, 0), Host: "(none)", Record: disk,
		}
	}
	thin := func(v meta.Volume, id uint32, transaction uint64, parent string) meta.Volume {
		v.Kind, v.Pool, v.DeviceID, v.TransactionID, v.Parent = "thin", "vg0/pool0", id, transaction, parent
		return v
	}
	plain := volume("linear", "kbcGUN-WNUA-3jcB-kdZ2-kpbc-Hp2n-kA924B", 16, 1795476248)
	plain.Kind, plain.Plain = "linear", at(0, 16)
	want := &meta.Catalog{
		Pools: []meta.Pool{{Name: "vg0/pool0", Metadata: at(276, 4), Data: at(20, 256), Device: "vg0-pool0-tpool", TransactionID: 5}},
		Volumes: []meta.Volume{
			plain,
			thin(volume("root", "NeTd7R-1ukO-Gz74-9VUe-9kKC-P1R8-FYHsrg", 125, 1795476248), 1, 1, ""),
			thin(volume("root-snap1", "g5irFN-8x3O-M9Iz-TX2y-uSkU-JPgA-daZ7dB", 125, 1795476249), 3, 3, "vg0/root"),
			thin(volume("root-snap2", "F0uRss-0nbX-KxZY-Urbu-r6zb-suNK-L3NeqY", 125, 1795476249), 4, 4, "vg0/root"),
			thin(volume("vm-100-disk-0", "H93xqC-cMGw-n9Oy-snsu-Mhpv-ywK0-ivkSN6", 256, 1795476248), 2, 2, ""),
			thin(volume("xfsvol", "3c28j1-OQ0P-kc6g-hoer-Wv0u-UHU9-ry3IWb", 100, 1795476250), 5, 5, ""),
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

// A thin device has the transaction id that the pool had when it was made: one less than the volume's.
func TestVolumesAreDevicesOfTheirPool(t *testing.T) {
	t.Parallel()
	c, err := New(pools.LVM(t)).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Pools[0].Metadata.Open(t.Context(), block.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m, err := pdata.Open(t.Context(), r, r.Size(), pdata.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Superblock().TransactionID; got != c.Pools[0].TransactionID {
		t.Errorf("the pool has the transaction id %d, its record %d", got, c.Pools[0].TransactionID)
	}
	for _, v := range c.Volumes {
		if !v.IsThin() {
			continue
		}
		d, err := m.Device(t.Context(), v.DeviceID)
		if err != nil || d.TransactionID != v.TransactionID-1 {
			t.Errorf("%s: device %d has the transaction id %d, the volume %d: %v", v.Name, v.DeviceID, d.TransactionID, v.TransactionID, err)
		}
	}
}

func TestSourceIsTheDisksAsWritten(t *testing.T) {
	t.Parallel()
	s := New("/dev/sda", "/dev/sdb")
	if s.String() != "lvm:/dev/sda,/dev/sdb" || cmp.Diff([]string{"/dev/sda", "/dev/sdb"}, s.Places()) != "" {
		t.Error(s, s.Places())
	}
	if g := NewGroup("vg0"); g.String() != "lvm:vg0" || g.Places() != nil {
		t.Error(g, g.Places())
	}
}
