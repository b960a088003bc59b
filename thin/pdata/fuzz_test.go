package pdata

import (
	"bytes"
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	// fuzzBlocks is the largest number of metadata blocks of a fuzzed pool.
	fuzzBlocks = 48
	// fuzzBytes is how many bytes of each block are fuzzed. The rest is zeros.
	fuzzBytes = 384
)

// The first two bytes of a fuzzed block, where its checksum is stored later, say what is set
// right in it.
const (
	fuzzKind     = 0 // the offset of the kind of the checksum: an index into fuzzSalts
	fuzzLocation = 1 // the offset of a byte that is not 0 if the block's own number is set
)

var fuzzSalts = []uint32{saltSuperblock, saltNode, saltBitmap, saltIndex}

// fuzzed is metadata with right checksums.
func fuzzed(data []byte) *image {
	im := &image{p: make([]byte, min((len(data)+fuzzBytes-1)/fuzzBytes, fuzzBlocks)*BlockBytes)}
	for n := range uint64(len(im.p) / BlockBytes) {
		p, part := im.block(n), data[n*fuzzBytes:]
		copy(p, part[:min(len(part), fuzzBytes)])
		salt := fuzzSalts[int(p[fuzzKind])%len(fuzzSalts)]
		if p[fuzzLocation] != 0 {
			le.PutUint64(p[8:], n)
		}
		le.PutUint32(p, sum(p, salt))
	}
	return im
}

// seed is the input of fuzzed for these metadata.
func (im *image) seed() (data []byte) {
	for n := range im.super.MetadataSpaceMapRoot.NrAllocated {
		p := bytes.Clone(im.block(n))
		for i, salt := range fuzzSalts {
			if checkSum(p, salt) == nil {
				p[fuzzKind], p[fuzzLocation] = byte(i), 1
				break
			}
		}
		data = append(data, p[:fuzzBytes]...)
	}
	return data
}

// fuzzTime is how long reading fuzzed metadata may take.
const fuzzTime = 5 * time.Second

func FuzzOpen(f *testing.F) {
	origin := []Run{mapped(0, 0, 6, 0), mapped(9, 20, 3, 1)}
	pool := poolSpec{fanout: 3, narrow: true, dataBlocks: 40, devices: []deviceSpec{
		device(1, origin...), device(2, origin...), device(3, mapped(0, 30, 1, 2), origin[1]), device(4, mapped(5, 0, 2, 0)),
	}}
	held := pool
	held.held = true
	for _, spec := range []poolSpec{{narrow: true, fanout: 3}, pool, held} {
		f.Add(build(spec).seed(), spec.held, spec.held)
	}
	f.Fuzz(func(t *testing.T, data []byte, held, live bool) {
		im := fuzzed(data)
		ctx, cancel := context.WithTimeout(t.Context(), fuzzTime)
		defer cancel()
		m, err := Open(ctx, im, int64(len(im.p)), Options{HeldRoot: held, Live: live})
		if err != nil {
			return
		}
		walkAll(ctx, t, m)
		if ctx.Err() != nil {
			t.Error("reading takes too long")
		}
	})
}

// walkAll reads everything. The results must be in order, within their bounds, and no more than
// fuzzBlocks blocks can hold.
func walkAll(ctx context.Context, t *testing.T, m *Metadata) {
	const most = fuzzBlocks * BlockBytes
	var next uint64
	var ids []uint32
	for d, err := range m.Devices(ctx) {
		if err != nil {
			checkDamage(t, err)
			continue
		}
		if uint64(d.ID) < next || d.ID >= MaxDevices {
			t.Fatalf("device %d follows %d", d.ID, next)
		}
		next = uint64(d.ID) + 1
		if ids = append(ids, d.ID); len(ids) > most {
			t.Fatal("more devices than there can be")
		}
	}
	for _, id := range ids[:min(len(ids), 8)] {
		if _, err := m.Device(ctx, id); err != nil {
			checkDamage(t, err)
		}
		if d, err := m.Mappings(ctx, id); err == nil {
			walkDevice(ctx, t, d, most)
		}
	}
	for _, s := range []*SpaceMap{m.DataSpaceMap(), m.MetadataSpaceMap()} {
		var next uint64
		for c, err := range s.All(ctx) {
			if err != nil {
				checkDamage(t, err)
				continue
			}
			if c.Block < next || c.Length == 0 {
				t.Fatalf("%s: %+v follows %d", s.name, c, next)
			}
			next = c.Block + c.Length
		}
	}
}

func walkDevice(ctx context.Context, t *testing.T, d *Mappings, most int) {
	var next uint64
	sb := d.m.Superblock()
	n := 0
	for r, err := range d.Runs(ctx, 0, 1<<63) {
		if n++; n > most {
			t.Fatal("more runs than there can be")
		}
		if err != nil {
			checkDamage(t, err)
			continue
		}
		if r.Virtual < next || r.Length == 0 || !r.Mapped || r.Data+r.Length > sb.DataSpaceMapRoot.NrBlocks {
			t.Fatalf("%+v follows %d, of %d data blocks", r, next, sb.DataSpaceMapRoot.NrBlocks)
		}
		next = r.end()
		if one, err := d.Run(ctx, r.Virtual, r.Length); err != nil || one != r {
			t.Fatalf("got %+v, %v, want %+v", one, err, r)
		}
	}
	if _, _, err := d.Highest(ctx); err != nil {
		checkDamage(t, err)
	}
	if _, err := d.Run(ctx, next, 1<<62); err != nil {
		checkDamage(t, err)
	}
}

func checkDamage(t *testing.T, err error) {
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, ErrNoSpaceMap) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("not damage: %v", err)
	}
	if d := (*DamageError)(nil); errors.As(err, &d) && d.KeyBegin >= d.KeyEnd {
		t.Errorf("damage of no keys: %v", err)
	}
}

func TestSeedsOfTheFuzzerAreRead(t *testing.T) {
	t.Parallel()
	spec := poolSpec{fanout: 3, narrow: true, dataBlocks: 40, devices: []deviceSpec{device(1, mapped(0, 0, 30, 0))}}
	m := fuzzed(build(spec).seed()).open(t, Options{})
	if diff := cmp.Diff(spec.devices[0].mappings, readRuns(t, m, 1)); diff != "" {
		t.Error(diff)
	}
	walkAll(t.Context(), t, m)
}
