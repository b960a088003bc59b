package ext4

import (
	"context"
	"slices"

	"thintree/volfs"
)

// Statfs reads all group descriptors. The size is that of minixdf off: without
// the blocks that the filesystem itself takes.
func (fs *FS) Statfs(ctx context.Context) (volfs.Statfs, error) {
	sb := fs.sb
	var free, freeInodes uint64
	err := fs.groupDescs(ctx, func(d *groupDesc) {
		free += uint64(d.freeBlocks)
		freeInodes += uint64(d.freeInodes)
	})
	if err != nil {
		return volfs.Statfs{}, err
	}
	overhead, err := fs.overhead(ctx)
	if err != nil {
		return volfs.Statfs{}, err
	}
	free <<= sb.clusterBits
	s := volfs.Statfs{
		BlockSize:  uint32(sb.blockSize),
		Blocks:     sb.blocksCount - min(sb.blocksCount, overhead<<sb.clusterBits),
		BlocksFree: free,
		Files:      uint64(sb.inodesCount),
		FilesFree:  freeInodes,
		NameLen:    maxNameLen,
	}
	if reserved := sb.rBlocksCount + sb.reservedClusters()<<sb.clusterBits; free > reserved {
		s.BlocksAvail = free - reserved
	}
	return s, nil
}

// reservedClusters is what the kernel keeps back for itself: what an extent
// tree may need.
func (sb *superblock) reservedClusters() uint64 {
	if !sb.incompat(incompatExtents) {
		return 0
	}
	return min(sb.blocksCount>>sb.clusterBits/50, 4096)
}

// groupDescs calls visit for the descriptor of each group.
func (fs *FS) groupDescs(ctx context.Context, visit func(*groupDesc)) error {
	sb := fs.sb
	p := make([]byte, sb.blockSize)
	for g := range sb.groups {
		if g%sb.descPerBlock == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			block := sb.descriptorBlock(g / sb.descPerBlock)
			if err := fs.readAt(p, int64(block<<sb.blockBits), blockKey{block: block, kind: blockDescriptors}); err != nil {
				return err
			}
		}
		off := int(g%sb.descPerBlock) * sb.descSize
		d, err := sb.parseGroupDesc(g, p[off:off+sb.descSize])
		if err != nil {
			return err
		}
		visit(d)
	}
	return nil
}

// overhead is how many clusters the filesystem itself takes.
func (fs *FS) overhead(ctx context.Context) (uint64, error) {
	sb := fs.sb
	if sb.roCompat(roCompatBigalloc) && sb.overhead != 0 && uint64(sb.overhead) <= sb.blocksCount {
		return uint64(sb.overhead), nil
	}
	overhead := sb.clusters(uint64(sb.firstDataBlock))
	if sb.roCompat(roCompatBigalloc) {
		tables, err := fs.tableClusters(ctx)
		if err != nil {
			return 0, err
		}
		overhead += tables
	} else {
		for g := range sb.groups {
			overhead += uint64(sb.superBlocks(g)) + sb.inodeTableBlocks() + 2 // the bitmaps
		}
	}
	if !sb.compat(compatHasJournal) || sb.journalInum == 0 || sb.journalInum > sb.inodesCount {
		return overhead, nil
	}
	if j, err := fs.loadInode(sb.journalInum); err == nil {
		overhead += sb.clusters(j.size >> sb.blockBits)
	}
	return overhead, nil
}

// superBlocks is how many blocks the superblock, the descriptors and the blocks
// reserved for more of these take in group g.
func (sb *superblock) superBlocks(g uint32) uint32 {
	n := sb.descriptorBlocks(g)
	if sb.hasSuper(g) {
		n += 1 + uint32(sb.reservedGDT)
	}
	return n
}

// clusters is how many clusters n blocks fill.
func (sb *superblock) clusters(n uint64) uint64 {
	return (n + 1<<sb.clusterBits - 1) >> sb.clusterBits
}

// tableClusters counts the clusters that hold bitmaps, inode tables, the
// superblock or descriptors.
func (fs *FS) tableClusters(ctx context.Context) (uint64, error) {
	sb := fs.sb
	type span struct{ first, last uint64 } // clusters
	var spans []span
	add := func(block, blocks uint64) {
		if blocks > 0 {
			spans = append(spans, span{block >> sb.clusterBits, (block + blocks - 1) >> sb.clusterBits})
		}
	}
	err := fs.groupDescs(ctx, func(d *groupDesc) {
		add(d.blockBitmap, 1)
		add(d.inodeBitmap, 1)
		add(d.inodeTable, sb.inodeTableBlocks())
		first, _ := sb.groupBlocks(d.number)
		add(first, uint64(sb.superBlocks(d.number)))
	})
	if err != nil {
		return 0, err
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	var n, next uint64
	for _, s := range spans {
		s.first = max(s.first, next)
		if s.last >= s.first {
			n += s.last - s.first + 1
			next = s.last + 1
		}
	}
	return n, nil
}
