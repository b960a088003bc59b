package thin

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"thintree/thin/dm"
)

func number32(t *rapid.T, name string) uint64 {
	return unix.Mkdev(rapid.Uint32Range(0, 4095).Draw(t, name+" major"), rapid.Uint32Range(0, 1<<20-1).Draw(t, name+" minor"))
}

func TestPoolTableIsParsedAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
		want := poolTable{
			sectors: rapid.Uint64().Draw(t, "sectors"), metadata: number32(t, "metadata"), data: number32(t, "data"),
			blockSectors: rapid.Uint32().Draw(t, "block"),
			Features: Features{
				LowWaterBlocks: rapid.Uint64().Draw(t, "low water"), SkipBlockZeroing: flag("zeroing"), ReadOnly: flag("ro"),
				ErrorIfNoSpace: flag("error"), IgnoreDiscard: flag("ignore"), NoDiscardPassdown: flag("passdown"),
			},
		}
		if got, err := parsePoolTable([]dm.Target{want.target()}); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestDeviceTableIsParsedAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := deviceTable{
			sectors: rapid.Uint64().Draw(t, "sectors"), pool: number32(t, "pool"),
			id: rapid.Uint32().Draw(t, "id"), origin: number32(t, "origin"),
		}
		if got, err := parseDeviceTable([]dm.Target{want.target()}); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestWrongTablesAreErrors(t *testing.T) {
	t.Parallel()
	for _, params := range []string{
		"", "7:0", "7:0 7:1", "7:0 7:1 128", "/dev/loop0 7:1 128 0", "7:0 7 128 0", "7:0 7:1 x 0", "7:0 7:1 128 x", "7:0 7:1 99999999999 0",
	} {
		if got, err := parsePoolTable([]dm.Target{{Length: 8, Type: poolTarget, Params: params}}); err == nil {
			t.Errorf("%q: %+v", params, got)
		}
	}
	for _, params := range []string{"", "253:0", "253:0 x", "253 1", "253:0 1 x", "253:0 1 7:0 8", "253:0 99999999999"} {
		if got, err := parseDeviceTable([]dm.Target{{Length: 8, Type: deviceTarget, Params: params}}); err == nil {
			t.Errorf("%q: %+v", params, got)
		}
	}
	pool, device := poolTable{}.target(), deviceTable{}.target()
	for _, table := range [][]dm.Target{nil, {pool, pool}, {device}, {{Type: "linear", Params: pool.Params}}} {
		if _, err := parsePoolTable(table); err != ErrNoPool {
			t.Errorf("%v: %v", table, err)
		}
	}
	for _, table := range [][]dm.Target{nil, {device, device}, {pool}} {
		if _, err := parseDeviceTable(table); err == nil {
			t.Errorf("%v", table)
		}
	}
}

func TestMissingFeaturesOfAnActivePoolAreListed(t *testing.T) {
	t.Parallel()
	all := Features{LowWaterBlocks: 7, SkipBlockZeroing: true, ReadOnly: true, ErrorIfNoSpace: true, IgnoreDiscard: true, NoDiscardPassdown: true}
	for _, c := range []struct {
		asked, active Features
		want          []string
	}{
		{Features{}, Features{}, nil},
		{all, all, nil},
		{Features{}, Features{LowWaterBlocks: 7, SkipBlockZeroing: true, ErrorIfNoSpace: true}, nil}, // they were not asked for
		{Features{}, Features{ReadOnly: true}, []string{"it is read-only"}},
		{Features{ReadOnly: true}, Features{}, []string{"it is not read-only"}},
		{Features{LowWaterBlocks: 7}, Features{LowWaterBlocks: 8}, []string{"its low-water mark is 8 data blocks, not 7"}},
		{Features{SkipBlockZeroing: true, ErrorIfNoSpace: true}, Features{ErrorIfNoSpace: true}, []string{"it has no skip_block_zeroing"}},
		{all, Features{}, []string{
			"it is not read-only", "its low-water mark is 0 data blocks, not 7", "it has no skip_block_zeroing", "it has no ignore_discard",
			"it has no no_discard_passdown", "it has no error_if_no_space",
		}},
	} {
		if got := c.asked.differences(c.active); !slices.Equal(got, c.want) {
			t.Errorf("%+v of %+v: %q, want %q", c.asked, c.active, got, c.want)
		}
	}
}
