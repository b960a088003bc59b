package pdata

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sharedPool is a pool of small nodes. Device 2 is a snapshot of 1 with a small change, 3 is an
// unchanged snapshot of 2.
func sharedPool() poolSpec {
	origin := []Run{mapped(0, 0, 20, 0), mapped(30, 30, 20, 0), mapped(100, 100, 30, 1)}
	changed := append([]Run{mapped(0, 200, 1, 2), mapped(1, 1, 19, 0)}, origin[1:]...)
	return poolSpec{fanout: 4, devices: []deviceSpec{device(1, origin...), device(2, changed...), device(3, changed...)}}
}

// places maps each block of a mapping tree to the keys that it is for.
func places(im *image, block uint64, within span) map[uint64]span {
	all := map[uint64]span{block: within}
	if n := parseNode(im.block(block)); !n.leaf {
		for i := range n.nr {
			child, part := n.child(i, within)
			for b, s := range places(im, child, part) {
				all[b] = s
			}
		}
	}
	return all
}

// readDamaged reads the mappings of a device. lost are the ranges that cannot be read.
func readDamaged(t *testing.T, d *Mappings, begin, end uint64) (runs []Run, lost []span) {
	t.Helper()
	var errs []error
	for r, err := range d.Runs(t.Context(), begin, end) {
		if err != nil {
			errs = append(errs, err)
		} else {
			runs = append(runs, r)
		}
	}
	return runs, damages(t, errs)
}

func TestFlippedByteLosesItsKeysOnly(t *testing.T) {
	t.Parallel()
	spec := sharedPool()
	good := build(spec)
	keyEnd := uint64(math.MaxInt64 / (64 << 10))
	for block := range uint64(len(good.p) / BlockBytes) {
		im := good.clone()
		im.flip(block, 1000)
		for _, dev := range spec.devices {
			where, hit := places(good, good.deviceRoot(dev.ID), span{0, keyEnd})[block]
			if !hit {
				continue
			}
			d := openDevice(t, im.open(t, Options{}), dev.ID)
			runs, lost := readDamaged(t, d, 0, keyEnd)
			if len(lost) != 1 || lost[0] != where {
				t.Errorf("block %d: device %d lost %v, want %v", block, dev.ID, lost, where)
			}
			want := joined(append(cut(dev.mappings, 0, where.begin), cut(dev.mappings, where.end, keyEnd)...))
			if diff := cmp.Diff(want, runs); diff != "" {
				t.Errorf("block %d: device %d: %s", block, dev.ID, diff)
			}
			checkEachBlock(t, d, dev.mappings, where, 140)
		}
	}
}

// checkEachBlock looks up blocks one by one. Those within lost must be damage.
func checkEachBlock(t *testing.T, d *Mappings, want []Run, lost span, blocks uint64) {
	t.Helper()
	for b := range blocks {
		r, err := d.Run(t.Context(), b, 1000)
		if lost.begin <= b && b < lost.end {
			var damage *DamageError
			if !errors.As(err, &damage) || damage.KeyBegin != lost.begin || damage.KeyEnd != lost.end {
				t.Errorf("virtual block %d: %+v, %v", b, r, err)
			}
			continue
		}
		expect := Run{Virtual: b, Length: 1000}
		if at := cut(want, b, b+1000); len(at) > 0 && at[0].Virtual == b {
			expect = joined(at)[0]
		} else if len(at) > 0 {
			expect.Length = at[0].Virtual - b
		}
		if b < lost.begin {
			expect.Length = min(expect.Length, lost.begin-b)
		}
		if err != nil || r != expect {
			t.Errorf("virtual block %d: got %+v, %v, want %+v", b, r, err, expect)
		}
	}
}

func TestImpossibleNodeIsDamage(t *testing.T) {
	t.Parallel()
	// Keys 0 to 35 in nodes of 3 entries: about 4 leaves under each of 3 nodes.
	good := build(poolSpec{fanout: 3, devices: []deviceSpec{device(1, mapped(0, 0, 36, 0))}})
	root := good.deviceRoot(1)
	way := good.way(root, 20)
	leaf, inner := way[len(way)-1], way[len(way)-2]
	put32 := func(at int, v uint32) func([]byte) { return func(p []byte) { le.PutUint32(p[at:], v) } }
	putKey := func(i int, v uint64) func([]byte) {
		return func(p []byte) { le.PutUint64(p[nodeHeaderBytes+8*i:], v) }
	}
	putValue := func(i int, v uint64) func([]byte) {
		return func(p []byte) { copy(parseNode(p).value(i), le.AppendUint64(nil, v)) }
	}
	own := places(good, root, span{0, math.MaxInt64 / (64 << 10)})
	first := parseNode(good.block(inner)).key(0)
	for name, test := range map[string]struct {
		block  uint64
		change func([]byte)
		want   span
		fault  string
	}{
		"another block's number":   {leaf, put32(8, 1), own[leaf], "says that it is block 1"},
		"leaf and internal":        {leaf, put32(4, 3), own[leaf], "flags"},
		"neither":                  {leaf, put32(4, 0), own[leaf], "flags"},
		"room for too many":        {leaf, put32(20, 255), own[leaf], "does not fit"},
		"room for 4 billion":       {leaf, put32(20, math.MaxUint32), own[leaf], "does not fit"},
		"room for no multiple":     {leaf, put32(20, 251), own[leaf], "multiple of 3"},
		"more than room":           {leaf, put32(16, 253), own[leaf], "with room for"},
		"empty leaf":               {leaf, put32(16, 0), own[leaf], "empty"},
		"no children":              {inner, put32(16, 0), own[inner], "no children"},
		"values of 4 bytes":        {leaf, put32(24, 4), own[leaf], "values of 4 bytes instead of 8"},
		"children of 4 bytes":      {inner, put32(24, 4), own[inner], "children of 4 bytes"},
		"equal keys":               {leaf, putKey(1, own[leaf].begin), own[leaf], "follows"},
		"key of the one before":    {leaf, putKey(0, own[leaf].begin-1), own[leaf], "belong"},
		"key of the next":          {leaf, putKey(2, own[leaf].end), own[leaf], "belong"},
		"child is itself":          {inner, putValue(0, inner), span{first, parseNode(good.block(inner)).key(1)}, "below itself"},
		"child is the root":        {inner, putValue(0, root), span{first, parseNode(good.block(inner)).key(1)}, "below itself"},
		"child is the superblock":  {inner, putValue(0, 0), span{first, parseNode(good.block(inner)).key(1)}, "superblock"},
		"child is nowhere":         {inner, putValue(0, 1<<40), span{first, parseNode(good.block(inner)).key(1)}, "not one of"},
		"child is a bitmap":        {inner, putValue(0, bitmapOf(good)), span{first, parseNode(good.block(inner)).key(1)}, "checksum"},
		"mapped beyond the data":   {leaf, putValue(0, 1<<39<<24), span{own[leaf].begin, own[leaf].begin + 1}, "not one of the pool's"},
		"mapped to the first lost": {leaf, putValue(0, 136<<24), span{own[leaf].begin, own[leaf].begin + 1}, "not one of the pool's 136"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			im := good.clone()
			im.edit(test.block, test.change)
			d := openDevice(t, im.open(t, Options{}), 1)
			runs, lost := readDamaged(t, d, 0, 1<<40)
			if len(lost) != 1 || lost[0] != test.want {
				t.Errorf("lost %v, want %v", lost, test.want)
			}
			all := []Run{mapped(0, 0, 36, 0)}
			if diff := cmp.Diff(append(cut(all, 0, test.want.begin), cut(all, test.want.end, 36)...), runs); diff != "" {
				t.Error(diff)
			}
			_, err := d.Run(t.Context(), test.want.begin, 1)
			if err == nil || !strings.Contains(err.Error(), test.fault) || !strings.Contains(err.Error(), "mapping tree of device 1") {
				t.Error(err)
			}
		})
	}
}

func bitmapOf(im *image) uint64 {
	return le.Uint64(im.block(im.super.MetadataSpaceMapRoot.BitmapRoot)[indexHeaderBytes:])
}

func TestDeepChainEnds(t *testing.T) {
	t.Parallel()
	im := build(poolSpec{blocks: 100, devices: []deviceSpec{device(1, mapped(0, 0, 5, 0)), device(2, mapped(0, 9, 5, 0))}})
	leaf := im.deviceRoot(1)
	at := im.super.MetadataSpaceMapRoot.NrAllocated
	for depth := range uint64(40) { // each is a node with the next one as its only child
		p := im.block(at + depth)
		child := at + depth + 1
		if depth == 39 {
			child = leaf
		}
		for i, v := range []uint32{flagInternal, uint32(at + depth), 0, 1, 252, childBytes} {
			le.PutUint32(p[4+4*i:], v)
		}
		le.PutUint64(p[nodeHeaderBytes+8*252:], child)
		le.PutUint32(p, sum(p, saltNode))
	}
	open := func(root uint64) *Mappings {
		im := im.clone()
		im.edit(im.super.DataMappingRoot, func(p []byte) { copy(parseNode(p).value(0), le.AppendUint64(nil, root)) })
		return openDevice(t, im.open(t, Options{}), 1)
	}
	if r, err := open(at+40-(maxDepth-1)).Run(t.Context(), 0, 9); err != nil || r != mapped(0, 0, 5, 0) {
		t.Errorf("at the greatest depth: %+v, %v", r, err)
	}
	for _, root := range []uint64{at + 40 - maxDepth, at} {
		d := open(root)
		if r, err := d.Run(t.Context(), 0, 9); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "deeper") {
			t.Errorf("too deep: %+v, %v", r, err)
		}
		if _, _, err := d.Highest(t.Context()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "deeper") {
			t.Error(err)
		}
	}
}

func TestTruncatedMetadataLoseTheirLastBlocks(t *testing.T) {
	t.Parallel()
	good := build(sharedPool())
	root := good.deviceRoot(1)
	all := places(good, root, span{0, 1 << 40})
	for size := int64(1); size < int64(len(good.p)/BlockBytes); size++ {
		im := good.clone()
		m := mustOpen(t, im, size*BlockBytes+100, Options{})
		for b, s := range all {
			_, err := m.view.Load().block(t.Context(), b, kindNode)
			if inside := int64(b) < size; inside != (err == nil) || !inside && !errors.Is(err, ErrTruncated) {
				t.Errorf("block %d (%v) of %d: %v", b, s, size, err)
			}
		}
	}
}

func TestUnreadableBlockIsDamageWithItsCause(t *testing.T) {
	t.Parallel()
	spec := sharedPool()
	im := build(spec)
	bad := im.leafOf(im.deviceRoot(1), 40)
	where := places(im, im.deviceRoot(1), span{0, 1 << 47})[bad]
	r := readerFunc(func(p []byte, off int64) (int, error) {
		if off == int64(bad)*BlockBytes {
			return 0, fmt.Errorf("the disk: %w", syscall.EREMOTEIO)
		}
		return im.ReadAt(t.Context(), p, off)
	})
	d := openDevice(t, mustOpen(t, r, int64(len(im.p)), Options{}), 1)
	if runs, lost := readDamaged(t, d, 0, 200); len(runs) == 0 || !slices.Equal(lost, []span{where}) {
		t.Error(runs, lost)
	}
	if _, err := d.Run(t.Context(), 40, 1); !errors.Is(err, syscall.EREMOTEIO) || !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

type readerFunc func(p []byte, off int64) (int, error)

func (f readerFunc) ReadAt(_ context.Context, p []byte, off int64) (int, error) { return f(p, off) }

func TestDamagedDeviceTreeEntry(t *testing.T) {
	t.Parallel()
	im := build(sharedPool())
	im.edit(im.super.DataMappingRoot, func(p []byte) { copy(parseNode(p).value(1), le.AppendUint64(nil, 1<<50)) })
	m := im.open(t, Options{})
	ids, _, errs := listed(t, m)
	if !slices.Equal(ids, []uint32{1, 2, 3}) || !slices.Equal(damages(t, errs), []span{{2, 3}}) {
		t.Error(ids, errs)
	}
	if _, err := m.Mappings(t.Context(), 2); !errors.As(err, new(*DamageError)) {
		t.Error(err)
	}
	if d := openDevice(t, m, 3); d == nil {
		t.Error("device 3 cannot be opened")
	}
}
