package ext4

import (
	"cmp"
	"context"
	"slices"
	"sort"
)

// systemZones are the blocks in which no file can have content: the superblock and its
// backups, group descriptors, bitmaps, inode tables and the journal. They are in ascending
// order and do not touch. As in the kernel (fs/ext4/block_validity.c), they show that a
// block map is damaged.
type systemZones []zone

type zone struct{ first, end uint64 } // end is exclusive

// overlap reports whether any of n blocks from block on is in a zone.
func (z systemZones) overlap(block, n uint64) bool {
	i := sort.Search(len(z), func(i int) bool { return z[i].end > block })
	return i < len(z) && z[i].first < block+n
}

// zones returns all zones. Those of the journal are read with the first file.
func (fs *FS) zones(ctx context.Context) systemZones {
	if z := fs.systemZones.Load(); z != nil {
		return *z
	}
	zones := slices.Clone(fs.survey.claims.zones)
	if j := fs.journal(ctx); j != nil {
		for _, r := range fs.runs(ctx, j) {
			zones = append(zones, zone{r.physical, r.physical + r.count})
		}
	}
	zones, _ = merged(zones)
	fs.systemZones.Store(&zones)
	return zones
}

// merged sorts zones and joins those that touch or overlap. twice are the parts that are in
// more than one.
func merged(zones systemZones) (joined, twice systemZones) {
	slices.SortFunc(zones, func(a, b zone) int { return cmp.Compare(a.first, b.first) })
	joined = zones[:0]
	for _, z := range zones {
		last := len(joined) - 1
		if last < 0 || z.first > joined[last].end {
			joined = append(joined, z)
			continue
		}
		if z.first < joined[last].end {
			twice = append(twice, zone{z.first, min(z.end, joined[last].end)})
		}
		joined[last].end = max(joined[last].end, z.end)
	}
	return slices.Clip(joined), twice
}

// runs returns the first runs of a file that have data.
func (fs *FS) runs(ctx context.Context, in *inode) []run {
	const most = 1 << 14 // a journal has a few
	var runs []run
	for logical := uint64(0); logical<<fs.sb.blockBits < in.size && len(runs) < most; {
		r, err := fs.mapBlock(ctx, in, logical)
		if err != nil {
			break
		}
		if r.hasData() {
			runs = append(runs, r)
		}
		logical = r.end()
	}
	return runs
}
