package lend

import (
	"encoding/json"
	"testing"

	"thintree/thin/block"
)

func TestRecordOfATemporarySnapshotLeadsToItsPool(t *testing.T) {
	t.Parallel()
	pieces, err := block.Linear(block.Piece{In: block.At("/dev/sdb"), Offset: 1 << 20, Length: 4 << 20}, block.Piece{In: block.At("/dev/sda"), Offset: 0, Length: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, metadata := range []block.Location{block.At("/dev/mapper/vg-pool_tmeta"), pieces} {
		text, err := json.Marshal(temporary{Owner: "1", place: placeOf(metadata), DeviceID: 7})
		if err != nil {
			t.Fatal(err)
		}
		var read temporary
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		at, err := read.location()
		_, whole := metadata.Path()
		if _, alsoWhole := at.Path(); err != nil || read.DeviceID != 7 || at.Spot(0) != metadata.Spot(0) || alsoWhole != whole {
			t.Errorf("%s: the record %s leads to %s, %v", metadata, text, at, err)
		}
	}
}
