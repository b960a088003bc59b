package ext4

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"thintree/volfs"
)

// Inode tables are read in chunks, which are cached. For the entries of a listing they are
// read in runs, which are not: the listing uses them once.
const (
	tableChunk = 16 << 10
	tableRun   = 1 << 20  // the longest
	tableGap   = 64 << 10 // the longest between two inodes of a run
)

// chunkSize returns the length of a chunk in bytes.
func (fs *FS) chunkSize() int64 { return max(tableChunk, int64(fs.sb.inodeSize)) }

// inodeOffset returns the offset of an inode in the volume. ino is in range.
func (fs *FS) inodeOffset(ctx context.Context, ino uint32) (int64, error) {
	sb := fs.sb
	d, err := fs.group(ctx, (ino-1)/sb.inodesPerGroup)
	if err != nil {
		return 0, err
	}
	return int64(d.inodeTable<<sb.blockBits) + int64((ino-1)%sb.inodesPerGroup)*int64(sb.inodeSize), nil
}

// rawInode returns the bytes of an inode. Callers must not write to them.
func (fs *FS) rawInode(ctx context.Context, ino uint32) ([]byte, error) {
	off, err := fs.inodeOffset(ctx, ino)
	if err != nil {
		return nil, err
	}
	size, inodeSize := fs.chunkSize(), int64(fs.sb.inodeSize)
	start := off &^ (size - 1)
	chunk, ok := fs.tables.Get(start)
	if !ok {
		chunk = make([]byte, size)
		// The inode may be readable even if the whole chunk is not.
		if n, _ := fs.vol.ReadAt(ctx, chunk, start); int64(n) < size {
			raw := chunk[:inodeSize:inodeSize]
			return raw, fs.readAt(ctx, raw, off, named(fmt.Sprintf("inode %d", ino)))
		}
		fs.tables.Add(start, chunk)
	}
	off -= start
	return chunk[off : off+inodeSize : off+inodeSize], nil
}

// placedInode is the inode of the i-th entry of a listing, with its offset in the volume.
type placedInode struct {
	off int64
	i   int
}

var tableRuns = sync.Pool{New: func() any { return new([tableRun]byte) }}

// statAll returns the attributes of entries. They are zero if an inode cannot be read.
// Inodes are read in the order of their offsets.
func (fs *FS) statAll(ctx context.Context, entries []volfs.DirEntry) []volfs.Attr {
	order := make([]placedInode, 0, len(entries))
	for i, e := range entries {
		if e.Name == "." || e.Name == ".." || e.Ino == 0 || e.Ino > volfs.Ino(fs.sb.inodesCount) {
			continue
		}
		if off, err := fs.inodeOffset(ctx, uint32(e.Ino)); err == nil {
			order = append(order, placedInode{off, i})
		}
	}
	slices.SortFunc(order, func(a, b placedInode) int { return cmp.Compare(a.off, b.off) })
	attrs := make([]volfs.Attr, len(entries))
	buf := tableRuns.Get().(*[tableRun]byte)
	defer tableRuns.Put(buf)
	for len(order) > 0 && ctx.Err() == nil {
		n := fs.together(order)
		first := order[0].off
		p := buf[:order[n-1].off-first+int64(fs.sb.inodeSize)]
		read, _ := fs.vol.ReadAt(ctx, p, first)
		for _, o := range order[:n] {
			raw := p[o.off-first:][:fs.sb.inodeSize]
			if o.off-first+int64(len(raw)) > int64(read) {
				break
			}
			in := &inode{ino: uint32(entries[o.i].Ino), raw: raw}
			if err := fs.parseInode(in); err != nil {
				continue
			}
			if attr, err := fs.attr(ctx, in); err == nil {
				attrs[o.i] = attr
			}
		}
		order = order[n:]
	}
	return attrs
}

// together returns how many of some inodes, which are in the order of their offsets, are
// read in one run.
func (fs *FS) together(inodes []placedInode) int {
	size := int64(fs.sb.inodeSize)
	n := 1
	for n < len(inodes) && inodes[n].off-inodes[n-1].off <= tableGap && inodes[n].off+size-inodes[0].off <= tableRun {
		n++
	}
	return n
}
