package ext4

import (
	"cmp"
	"slices"
	"sort"
)

// systemZones are the blocks that hold what no file's content can lie in: the
// superblock and its backups, group descriptors, bitmaps, inode tables and the
// journal. They are in ascending order and do not touch. The kernel has the
// same, to tell where a damaged block map leads (fs/ext4/block_validity.c).
type systemZones []zone

type zone struct{ first, end uint64 } // end is not in it

// overlap tells whether any of n blocks from block on is in a zone.
func (z systemZones) overlap(block, n uint64) bool {
	i := sort.Search(len(z), func(i int) bool { return z[i].end > block })
	return i < len(z) && z[i].first < block+n
}

// zones gives the zones. They are collected when the first file is read, from
// all group descriptors that can be.
func (fs *FS) zones() systemZones {
	const maxGroups = 1 << 20 // a filesystem of 128 TiB; in a larger one they would be too many to look through
	if z := fs.systemZones.Load(); z != nil {
		return *z
	}
	var zones systemZones
	if fs.sb.groups <= maxGroups {
		zones = fs.collectZones()
	}
	fs.systemZones.Store(&zones)
	return zones
}

func (fs *FS) collectZones() systemZones {
	sb := fs.sb
	var zones systemZones
	add := func(first, n uint64) {
		if n > 0 {
			zones = append(zones, zone{first, first + n})
		}
	}
	most := 1 << 14
	for g := range sb.groups {
		if len(zones) > most { // now and then, so that they stay few
			zones = merged(zones)
			most = max(most, 2*len(zones))
		}
		first, _ := sb.groupBlocks(g)
		add(first, uint64(sb.superBlocks(g)))
		d, err := fs.group(g)
		if err != nil {
			continue // what is in that group is EIO; the others' zones stand
		}
		add(d.blockBitmap, 1)
		add(d.inodeBitmap, 1)
		add(d.inodeTable, sb.inodeTableBlocks())
	}
	if j := fs.journal(); j != nil {
		for _, r := range fs.runs(j) {
			add(r.physical, r.count)
		}
	}
	return slices.Clip(merged(zones))
}

// merged sorts zones and joins those that meet.
func merged(zones systemZones) systemZones {
	slices.SortFunc(zones, func(a, b zone) int { return cmp.Compare(a.first, b.first) })
	out := zones[:0]
	for _, z := range zones {
		if last := len(out) - 1; last >= 0 && z.first <= out[last].end {
			out[last].end = max(out[last].end, z.end)
			continue
		}
		out = append(out, z)
	}
	return out
}

// runs gives the first runs of a file that have data.
func (fs *FS) runs(in *inode) []run {
	const most = 1 << 14 // a journal has a few
	var runs []run
	for logical := uint64(0); logical<<fs.sb.blockBits < in.size && len(runs) < most; {
		r, err := fs.mapBlock(in, logical)
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
