package pdata

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// counted is a pool with many different reference counts, in more than one bitmap.
func counted() poolSpec {
	s := poolSpec{dataBlocks: 2*blocksPerBitmap + 50, fanout: 5}
	for id := range uint32(6) {
		// Each device maps the data blocks 10 to 10+id, in leaves of its own.
		s.devices = append(s.devices, device(id, mapped(uint64(id), 10, uint64(id)+1, id), mapped(100, blocksPerBitmap-2, 4, 1+id%2)))
	}
	return s
}

// allCounts reads all counts. lost are the ranges that cannot be read.
func allCounts(t *testing.T, s *SpaceMap) (counts []Counts, lost []span) {
	t.Helper()
	var errs []error
	for c, err := range s.All(t.Context()) {
		if err != nil {
			errs = append(errs, err)
		} else {
			counts = append(counts, c)
		}
	}
	return counts, damages(t, errs)
}

func TestCounts(t *testing.T) {
	t.Parallel()
	m := build(counted()).open(t, Options{})
	got, lost := allCounts(t, m.DataSpaceMap())
	want := []Counts{
		{0, 10, 0}, {10, 1, 6}, {11, 1, 5}, {12, 1, 4}, {13, 1, 3}, {14, 1, 2}, {15, 1, 1},
		{16, blocksPerBitmap - 18, 0}, {blocksPerBitmap - 2, 4, got[len(got)-2].Count}, {blocksPerBitmap + 2, blocksPerBitmap + 48, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(lost) > 0 {
		t.Error(diff, lost)
	}
	for _, c := range got {
		for _, b := range []uint64{c.Block, c.Block + c.Length - 1} {
			if n, err := m.DataSpaceMap().RefCount(t.Context(), b); err != nil || n != c.Count {
				t.Errorf("block %d: %d, %v, want %d", b, n, err, c.Count)
			}
		}
	}
	if n, err := m.DataSpaceMap().RefCount(t.Context(), 2*blocksPerBitmap+50); err == nil {
		t.Error("a block beyond the end has a count: ", n)
	}
}

func TestCountsAddUpToTheTotals(t *testing.T) {
	t.Parallel()
	for _, spec := range []poolSpec{counted(), richPool(), {}, {blocks: 3 * blocksPerBitmap}} {
		m := build(spec).open(t, Options{})
		sb := m.Superblock()
		for s, root := range map[*SpaceMap]SpaceMapRoot{
			m.DataSpaceMap(): sb.DataSpaceMapRoot, m.MetadataSpaceMap(): sb.MetadataSpaceMapRoot,
		} {
			var blocks, used uint64
			counts, lost := allCounts(t, s)
			for _, c := range counts {
				if c.Block != blocks {
					t.Errorf("%s: %d follows %d", s.name, c.Block, blocks)
				}
				blocks += c.Length
				if c.Count > 0 {
					used += c.Length
				}
			}
			if len(lost) > 0 || blocks != root.NrBlocks || used != root.NrAllocated {
				t.Errorf("%s: %d of %d used, %v, want %+v", s.name, used, blocks, lost, root)
			}
		}
	}
}

func TestDamagedSpaceMapLosesItsBlocksOnly(t *testing.T) {
	t.Parallel()
	const end = 2*blocksPerBitmap + 50
	good := build(counted())
	root := good.super.DataSpaceMapRoot
	index := parseNode(good.block(root.BitmapRoot))
	for name, test := range map[string]struct {
		change func(*image)
		want   []span
	}{
		"bitmap":      {func(im *image) { im.flip(le.Uint64(index.value(1)), 99) }, []span{{blocksPerBitmap, 2 * blocksPerBitmap}}},
		"last bitmap": {func(im *image) { im.flip(le.Uint64(index.value(2)), 99) }, []span{{2 * blocksPerBitmap, end}}},
		"index":       {func(im *image) { im.flip(root.BitmapRoot, 99) }, []span{{0, end}}},
		"index leads to a node": {func(im *image) {
			im.edit(root.BitmapRoot, func(p []byte) { copy(parseNode(p).value(0), le.AppendUint64(nil, root.BitmapRoot)) })
		}, []span{{0, blocksPerBitmap}}},
		"index lacks two": {func(im *image) {
			im.edit(root.BitmapRoot, func(p []byte) { le.PutUint32(p[16:], 1) })
		}, []span{{blocksPerBitmap, end}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			im := good.clone()
			test.change(im)
			_, got := allCounts(t, im.open(t, Options{}).DataSpaceMap())
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(span{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDamagedMetadataIndexLosesAll(t *testing.T) {
	t.Parallel()
	im := build(counted())
	root := im.super.MetadataSpaceMapRoot
	im.flip(root.BitmapRoot, 99)
	counts, lost := allCounts(t, im.open(t, Options{}).MetadataSpaceMap())
	if len(counts) > 0 || !cmp.Equal(lost, []span{{0, root.NrBlocks}}, cmp.AllowUnexported(span{})) {
		t.Error(counts, lost)
	}
}

func TestDamagedReferenceCountsLoseManyCountsOnly(t *testing.T) {
	t.Parallel()
	good := build(counted())
	leaf := good.leafOf(good.super.DataSpaceMapRoot.RefCountRoot, 10) // has the blocks 10 to 13, and one more
	for name, test := range map[string]struct {
		change func(*image)
		want   []span
	}{
		"flipped byte": {func(im *image) { im.flip(leaf, 99) }, []span{{10, 14}}},
		"one is missing": {func(im *image) {
			im.edit(leaf, func(p []byte) {
				le.PutUint64(p[nodeHeaderBytes+8:], 12)
				le.PutUint64(p[nodeHeaderBytes+16:], 13)
				le.PutUint32(p[16:], 3)
			})
		}, []span{{11, 12}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			im := good.clone()
			test.change(im)
			counts, lost := allCounts(t, im.open(t, Options{}).DataSpaceMap())
			if diff := cmp.Diff(test.want, lost, cmp.AllowUnexported(span{})); diff != "" {
				t.Error(diff)
			}
			if n := len(counts); counts[0] != (Counts{0, 10, 0}) || counts[n-5] != (Counts{14, 1, 2}) || counts[n-4] != (Counts{15, 1, 1}) {
				t.Error(counts)
			}
		})
	}
}
