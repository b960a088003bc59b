package ext4

import (
	"cmp"
	"context"
	"slices"
	"syscall"

	"thintree/volfs"
)

// Statfs reads all group descriptors. Blocks does not count those that the filesystem
// itself takes, as the kernel does without the option minixdf.
func (fs *FS) Statfs(ctx context.Context) (volfs.Statfs, error) {
	sb := fs.sb
	var free, freeInodes uint64
	tables := tableClusters{sb: sb}
	err := fs.eachGroup(ctx, func(_ uint32, d *groupDesc, err error) error {
		if err != nil {
			return err
		}
		if err := fs.survey.check(sb, d); err != nil {
			return err
		}
		free += uint64(d.freeBlocks)
		freeInodes += uint64(d.freeInodes)
		return tables.add(d)
	})
	if err != nil {
		return volfs.Statfs{}, err
	}
	free <<= sb.clusterBits
	overhead := fs.overhead(ctx, &tables)
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

// reservedClusters returns how many clusters the kernel reserves for extent trees.
func (sb *superblock) reservedClusters() uint64 {
	if !sb.incompat(incompatExtents) {
		return 0
	}
	return min(sb.blocksCount>>sb.clusterBits/50, 4096)
}

// overhead returns how many clusters the filesystem itself takes: as recorded, or as
// counted in tables, with those that belong to no group.
func (fs *FS) overhead(ctx context.Context, tables *tableClusters) uint64 {
	sb := fs.sb
	if sb.overheadRecorded() {
		return uint64(sb.overhead)
	}
	overhead := sb.clusters(uint64(sb.firstDataBlock)) + tables.count()
	if j := fs.journal(ctx); j != nil {
		overhead += sb.clusters(j.size >> sb.blockBits)
	}
	return overhead
}

// journal returns the inode of the journal; nil if there is none.
func (fs *FS) journal(ctx context.Context) *inode {
	sb := fs.sb
	if !sb.compat(compatHasJournal) || sb.journalInum == 0 || sb.journalInum > sb.inodesCount {
		return nil
	}
	j, err := fs.loadInode(ctx, sb.journalInum)
	if err != nil || j.fileType() != syscall.S_IFREG {
		return nil
	}
	return j
}

// overheadRecorded reports whether s_overhead_clusters is used. The kernel uses it only
// with bigalloc, as counting takes long there.
func (sb *superblock) overheadRecorded() bool {
	return sb.roCompat(roCompatBigalloc) && sb.overhead != 0 && uint64(sb.overhead) <= sb.blocksCount
}

// superZone returns the blocks of group g that hold the superblock and the descriptors, or
// are reserved for more descriptors.
func (sb *superblock) superZone(g uint32) zone {
	first, _ := sb.groupBlocks(g)
	n := sb.descriptorBlocks(g)
	if sb.hasSuper(g) {
		n += 1 + uint32(sb.reservedGDT)
	}
	return zone{first, first + uint64(n)}
}

// clusters returns how many clusters n blocks fill.
func (sb *superblock) clusters(n uint64) uint64 {
	return (n + 1<<sb.clusterBits - 1) >> sb.clusterBits
}

// tableClusters counts the clusters that hold bitmaps, inode tables, the
// superblock or descriptors.
type tableClusters struct {
	sb *superblock
	n  uint64
	// spans are ranges of clusters. They can overlap if a cluster has several blocks.
	spans []clusterSpan
}

type clusterSpan struct{ first, last uint64 }

// add counts the clusters of a group.
func (t *tableClusters) add(d *groupDesc) error {
	const maxSpans = 1 << 22
	switch {
	case t.sb.overheadRecorded():
		return nil
	case t.sb.clusterBits == 0:
		super := t.sb.superZone(d.number)
		t.n += super.end - super.first + t.sb.inodeTableBlocks() + 2 // the bitmaps
		return nil
	case len(t.spans) > maxSpans:
		return badSuperblock("%d groups, and no s_overhead_clusters", t.sb.groups)
	}
	first, _ := t.sb.groupBlocks(d.number)
	blocks := uint64(t.sb.descriptorBlocks(d.number))
	if t.sb.hasSuper(d.number) {
		blocks++ // here the kernel does not count the reserved ones
	}
	t.span(first, blocks)
	t.span(d.blockBitmap, 1)
	t.span(d.inodeBitmap, 1)
	t.span(d.inodeTable, t.sb.inodeTableBlocks())
	return nil
}

func (t *tableClusters) span(block, blocks uint64) {
	if blocks > 0 {
		t.spans = append(t.spans, clusterSpan{block >> t.sb.clusterBits, (block + blocks - 1) >> t.sb.clusterBits})
	}
}

// count returns the number of clusters.
func (t *tableClusters) count() uint64 {
	slices.SortFunc(t.spans, func(a, b clusterSpan) int { return cmp.Compare(a.first, b.first) })
	n, next := t.n, uint64(0)
	for _, s := range t.spans {
		if s.first = max(s.first, next); s.last >= s.first {
			n += s.last - s.first + 1
			next = s.last + 1
		}
	}
	return n
}
