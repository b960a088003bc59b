package thin

import (
	"fmt"
	"strconv"
	"strings"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
)

// Features are the options of a pool's activation. They are not stored in the pool. The kernel's
// thin-provisioning.rst describes them.
type Features struct {
	// LowWaterBlocks is the number of free data blocks at which the pool has an event. 0 is for
	// no such event.
	LowWaterBlocks    uint64
	SkipBlockZeroing  bool // new blocks keep their old contents
	ReadOnly          bool // nothing in the pool can be changed
	ErrorIfNoSpace    bool // writes to a full pool fail instead of waiting
	IgnoreDiscard     bool
	NoDiscardPassdown bool // discards do not reach the data device
}

// poolTable is the table of a thin-pool device.
type poolTable struct {
	sectors        uint64 // the length of the data, in sectors of 512 bytes
	metadata, data uint64 // device numbers
	blockSectors   uint32
	Features
}

const poolTarget = "thin-pool"

func (t poolTable) target() dm.Target {
	var words []string
	for _, f := range t.flags() {
		if *f.set {
			words = append(words, f.word)
		}
	}
	params := fmt.Sprintf("%s %s %d %d %d", blockdev.Text(t.metadata), blockdev.Text(t.data), t.blockSectors, t.LowWaterBlocks, len(words))
	for _, w := range words {
		params += " " + w
	}
	return dm.Target{Length: t.sectors, Type: poolTarget, Params: params}
}

type flag struct {
	word string
	set  *bool
}

func (t *poolTable) flags() []flag {
	return []flag{
		{"skip_block_zeroing", &t.SkipBlockZeroing},
		{"ignore_discard", &t.IgnoreDiscard},
		{"no_discard_passdown", &t.NoDiscardPassdown},
		{"read_only", &t.ReadOnly},
		{"error_if_no_space", &t.ErrorIfNoSpace},
	}
}

// differences lists which of the features asked an active pool lacks. A zero feature is not asked
// for, except ReadOnly, which must always be the same.
func (asked Features) differences(active Features) (list []string) {
	list = accessDiffers(asked.ReadOnly, active.ReadOnly)
	if asked.LowWaterBlocks != 0 && asked.LowWaterBlocks != active.LowWaterBlocks {
		list = append(list, fmt.Sprintf("its low-water mark is %d data blocks, not %d", active.LowWaterBlocks, asked.LowWaterBlocks))
	}
	asked.ReadOnly, active.ReadOnly = false, false
	want, have := poolTable{Features: asked}, poolTable{Features: active}
	haveFlags := have.flags()
	for i, f := range want.flags() {
		if *f.set && !*haveFlags[i].set {
			list = append(list, "it has no "+f.word)
		}
	}
	return list
}

// accessDiffers says whether an active pool or device is read-only, if that is not what was asked
// for.
func accessDiffers(asked, active bool) []string {
	switch {
	case asked && !active:
		return []string{"it is not read-only"}
	case active && !asked:
		return []string{"it is read-only"}
	}
	return nil
}

// parsePoolTable reads the table of an active pool.
func parsePoolTable(table []dm.Target) (poolTable, error) {
	if len(table) != 1 || table[0].Type != poolTarget {
		return poolTable{}, ErrNoPool
	}
	t := poolTable{sectors: table[0].Length}
	words := strings.Fields(table[0].Params)
	bad := func() (poolTable, error) {
		return poolTable{}, fmt.Errorf("thin-pool table %q: not understood", table[0].Params)
	}
	if len(words) < 4 {
		return bad()
	}
	var err [4]error
	var block uint64
	t.metadata, err[0] = blockdev.Parse(words[0])
	t.data, err[1] = blockdev.Parse(words[1])
	block, err[2] = strconv.ParseUint(words[2], 10, 32)
	t.LowWaterBlocks, err[3] = strconv.ParseUint(words[3], 10, 64)
	for _, e := range err {
		if e != nil {
			return bad()
		}
	}
	t.blockSectors = uint32(block)
	for _, w := range words[min(5, len(words)):] {
		for _, f := range t.flags() {
			if f.word == w {
				*f.set = true
			}
		}
	}
	return t, nil
}
