package ext4

import (
	"context"
	"encoding/binary"
	"fmt"
	"sort"
)

const (
	extentMagic      = 0xf30a
	extentMaxDepth   = 5
	extentMaxBlocks  = 1<<32 - 1 // a file's blocks are below it
	extentEntrySize  = 12        // of ext4_extent_header, ext4_extent_idx and ext4_extent alike
	extentMaxInitLen = 1 << 15   // ee_len above it: unwritten, by this much shorter
)

// extentNode is a node of an extent tree: an ext4_extent_header and its entries.
type extentNode struct {
	entries []byte
	n       int
	depth   int
}

func (t extentNode) entry(i int) []byte { return t.entries[i*extentEntrySize:] }

// block is ee_block or ei_block.
func (t extentNode) block(i int) uint64 { return uint64(le32(t.entry(i), 0)) }

// child is ei_leaf.
func (t extentNode) child(i int) uint64 {
	e := t.entry(i)
	return uint64(le32(e, 1)) | uint64(binary.LittleEndian.Uint16(e[8:]))<<32
}

// extent decodes the i-th ext4_extent.
func (t extentNode) extent(i int) (r run, physical uint64) {
	e := t.entry(i)
	physical = uint64(le32(e, 2)) | uint64(binary.LittleEndian.Uint16(e[6:]))<<32
	r = run{logical: uint64(le32(e, 0)), count: uint64(binary.LittleEndian.Uint16(e[4:])), physical: physical, allocated: true}
	if r.count > extentMaxInitLen {
		r.count -= extentMaxInitLen
		r.physical = 0
	}
	return r, physical
}

// find returns the index of the last entry that begins at or before logical, or 0.
func (t extentNode) find(logical uint64) int {
	return max(sort.Search(t.n, func(i int) bool { return t.block(i) > logical })-1, 0)
}

func (fs *FS) mapExtent(ctx context.Context, in *inode, logical uint64) (run, error) {
	if logical >= extentMaxBlocks {
		return run{}, in.damage("block %d: extents end before it", logical)
	}
	node, err := fs.parseExtentNode(in.iBlock())
	if err != nil {
		return run{}, in.damage("%v", err)
	}
	if node.depth > extentMaxDepth {
		return run{}, in.damage("extent tree of depth %d", node.depth)
	}
	end := uint64(extentMaxBlocks) // of what the node covers
	for node.depth > 0 {
		i := node.find(logical)
		if i+1 < node.n {
			end = node.block(i + 1)
		}
		if node, err = fs.extentBlock(ctx, in, node, i); err != nil {
			return run{}, err
		}
	}
	return node.lookup(logical, end), nil
}

// lookup finds logical in a leaf that covers the blocks before end.
func (t extentNode) lookup(logical, end uint64) run {
	hole := run{logical: logical, count: max(end, logical+1) - logical}
	if t.n == 0 {
		return hole
	}
	i := t.find(logical)
	r, _ := t.extent(i)
	switch {
	case logical < r.logical:
		hole.count = r.logical - logical
	case logical < r.end():
		skip := logical - r.logical
		if r.hasData() {
			r.physical += skip
		}
		r.logical, r.count = logical, r.count-skip
		return r
	case i+1 < t.n:
		hole.count = t.block(i+1) - logical
	}
	return hole
}

// extentBlock reads the i-th child of node.
func (fs *FS) extentBlock(ctx context.Context, in *inode, node extentNode, i int) (extentNode, error) {
	key := blockKey{block: node.child(i), owner: in.ino, kind: blockExtent}
	p, err := fs.block(ctx, key, func(p []byte) error { return fs.checkExtentBlock(in, p, key) })
	if err != nil {
		return extentNode{}, err
	}
	child := decodeExtentNode(p)
	// checkExtentBlock is called once for each block. What the parent says of it is
	// compared each time.
	if child.depth != node.depth-1 {
		return child, key.damage("depth %d under depth %d", child.depth, node.depth)
	}
	if child.n > 0 && child.block(0) != node.block(i) {
		return child, key.damage("begins at block %d instead of %d", child.block(0), node.block(i))
	}
	return child, nil
}

func (fs *FS) checkExtentBlock(in *inode, p []byte, key blockKey) error {
	if _, err := fs.parseExtentNode(p); err != nil {
		return key.damage("%v", err)
	}
	if !fs.sb.metadataCsum() {
		return nil
	}
	tail := extentEntrySize * (1 + int(binary.LittleEndian.Uint16(p[4:]))) // after eh_max entries
	if tail+4 > len(p) {
		return key.damage("no room for its checksum")
	}
	if want, got := binary.LittleEndian.Uint32(p[tail:]), crc32c(in.csumSeed, p[:tail]); want != got {
		return key.damage("checksum %#x instead of %#x", want, got)
	}
	return nil
}

// decodeExtentNode decodes a node that parseExtentNode has accepted.
func decodeExtentNode(p []byte) extentNode {
	return extentNode{
		entries: p[extentEntrySize:],
		n:       int(binary.LittleEndian.Uint16(p[2:])),
		depth:   int(binary.LittleEndian.Uint16(p[6:])),
	}
}

// parseExtentNode decodes and checks a node: i_block, or a block.
func (fs *FS) parseExtentNode(p []byte) (extentNode, error) {
	if m := binary.LittleEndian.Uint16(p); m != extentMagic {
		return extentNode{}, fmt.Errorf("eh_magic %#x instead of %#x", m, extentMagic)
	}
	t := decodeExtentNode(p)
	limit := int(binary.LittleEndian.Uint16(p[4:]))
	switch {
	case limit == 0 || limit > len(t.entries)/extentEntrySize:
		return t, fmt.Errorf("eh_max %d", limit)
	case t.n > limit:
		return t, fmt.Errorf("eh_entries %d of at most %d", t.n, limit)
	case t.n == 0 && t.depth > 0:
		return t, fmt.Errorf("no entries at depth %d", t.depth)
	}
	next := uint64(0)
	for i := range t.n {
		if t.block(i) < next {
			return t, fmt.Errorf("entry %d begins at block %d, before the end of the one before, %d", i, t.block(i), next)
		}
		next = t.block(i) + 1
		start, count := t.child(i), uint64(1)
		if t.depth == 0 {
			var r run
			r, start = t.extent(i)
			next, count = r.end(), r.count
		}
		if count == 0 || next > 1<<32 || !fs.sb.validBlocks(start, count) {
			return t, fmt.Errorf("entry %d: %d blocks from %d on, at block %d", i, count, start, t.block(i))
		}
	}
	return t, nil
}
