package reader

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
)

func TestPiecesCoverTheDevice(t *testing.T) {
	t.Parallel()
	const block = 64 * kib
	spec := deviceSpec{id: 1, runs: []runSpec{{2, 10, 3, 0}, {5, 20, 1, 0}, {9, 198, 4, 0}}}
	files := newPool(t, poolSpec{blockBytes: block, dataBlocks: 202, devices: []deviceSpec{spec}})
	for name, test := range map[string]struct {
		size int64
		want []Piece
	}{
		"whole blocks": {14 * block, []Piece{
			{2 * block, Unmapped, 0}, {3 * block, Mapped, 10 * block}, {block, Mapped, 20 * block},
			{3 * block, Unmapped, 0}, {4 * block, Mapped, 198 * block}, {block, Unmapped, 0},
		}},
		"an end within a block": {2*block + 512, []Piece{{2 * block, Unmapped, 0}, {512, Mapped, 10 * block}}},
		"nothing mapped":        {block, []Piece{{block, Unmapped, 0}}},
	} {
		got, _, err := files.open(t, Options{}).Pieces(t.Context(), 1, test.size, 100)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
	}
	if _, _, err := files.open(t, Options{}).Pieces(t.Context(), 1, 14*block, 3); !errors.Is(err, ErrTooManyPieces) {
		t.Errorf("at most three pieces: %v", err)
	}
	if _, _, err := files.open(t, Options{}).Pieces(t.Context(), 2, block, 3); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("of a missing device: %v", err)
	}
}

func TestPiecesThatCannotBeReadAreBroken(t *testing.T) {
	t.Parallel()
	const block = 64 * kib
	spec := deviceSpec{id: 1, runs: []runSpec{{0, 0, 3 * perLeaf, 0}}}
	files := newPool(t, poolOf(200, spec, deviceSpec{id: 2, runs: []runSpec{{0, 190, 10, 0}}}))
	files.edit(t, func(metadata []byte) { leafOf(t, metadata, perLeaf, perLeaf)[2000] ^= 1 })
	if err := os.Truncate(files.data, 195*block); err != nil {
		t.Fatal(err)
	}
	p := files.open(t, Options{})
	for id, want := range map[uint32][]Piece{
		1: {{perLeaf * block, Mapped, 0}, {perLeaf * block, Broken, 0}, {perLeaf * block, Mapped, 2 * perLeaf * block}},
		2: {{5 * block, Mapped, 190 * block}, {5 * block, Broken, 0}, {3*perLeaf*block - 10*block, Unmapped, 0}},
	} {
		if got, _, err := p.Pieces(t.Context(), id, 3*perLeaf*block, 100); err != nil || !slices.Equal(got, want) {
			t.Errorf("device %d: %v, %v; want %v", id, got, err, want)
		}
	}
}

func TestVersionChangesWithTheMapping(t *testing.T) {
	t.Parallel()
	spec := poolOf(16, blocks(1, 0, 4), blocks(2, 4, 4))
	files := newPool(t, spec)
	p := files.open(t, Options{})
	version := func() Version {
		_, v, err := p.Pieces(t.Context(), 1, 256*kib, 10)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := version()
	if err := v.Still(t.Context()); err != nil {
		t.Error(err)
	}
	// The kernel never writes to a block of a committed tree, so another mapping has another
	// root.
	spec.transaction, spec.devices = 3, []deviceSpec{{id: 0}, blocks(1, 8, 4), blocks(2, 4, 4)}
	files.format(t, spec)
	refresh(t, p)
	if err := v.Still(t.Context()); !errors.Is(err, ErrChanged) || !errors.Is(err, syscall.ESTALE) {
		t.Errorf("mapped differently: %v", err)
	}
	v = version()
	files.format(t, poolOf(16, blocks(2, 4, 4)))
	refresh(t, p)
	if err := v.Still(t.Context()); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("deleted: %v", err)
	}
}
