package lend

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/reader"
)

func TestPiecesAreMappedToTheSegmentsOfTheData(t *testing.T) {
	t.Parallel()
	const sector = blockdev.SectorBytes
	// The data are 100 sectors of one disk and 50 of another.
	data := []segment{{sectors: 100, from: 2048, device: unix.Mkdev(8, 1)}, {sectors: 50, from: 10, device: unix.Mkdev(8, 17)}}
	pieces := []reader.Piece{
		{Length: 8 * sector, Kind: reader.Mapped, Data: 16 * sector},
		{Length: 24 * sector},
		{Length: 20 * sector, Kind: reader.Mapped, Data: 90 * sector},
		{Length: 8 * sector, Kind: reader.Broken},
		{Length: 30 * sector, Kind: reader.Mapped, Data: 130 * sector},
		{Length: 8 * sector, Kind: reader.Mapped, Data: 400 * sector},
	}
	want := []dm.Target{
		{Start: 0, Length: 8, Type: "linear", Params: "8:1 2064"},
		{Start: 8, Length: 24, Type: "zero"},
		{Start: 32, Length: 10, Type: "linear", Params: "8:1 2138"},
		{Start: 42, Length: 10, Type: "linear", Params: "8:17 10"},
		{Start: 52, Length: 8, Type: "error"},
		{Start: 60, Length: 20, Type: "linear", Params: "8:17 40"},
		{Start: 80, Length: 10, Type: "error"},
		{Start: 90, Length: 8, Type: "error"},
	}
	if got := tableOf(pieces, data, nil); !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	want[1] = dm.Target{Start: 8, Length: 24, Type: "linear", Params: "7:3 0"}
	if got := tableOf(pieces, data, &segment{device: unix.Mkdev(7, 3)}); !slices.Equal(got, want) {
		t.Errorf("with zeros of memory: %v", got)
	}
}
