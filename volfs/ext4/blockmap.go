package ext4

import "context"

const directBlocks = 12 // of the 15 pointers in i_block

// indirectPath leads to a block of a file: an index into i_block, then one into each
// block of pointers.
type indirectPath struct {
	index [4]uint64
	depth int // of blocks of pointers
	// span is the number of blocks of the file that a pointer at each level covers.
	span [4]uint64
}

// indirectPathOf returns the path to a block; false if there is none.
func (sb *superblock) indirectPathOf(logical uint64) (indirectPath, bool) {
	if logical < directBlocks {
		return indirectPath{index: [4]uint64{logical}, span: [4]uint64{1}}, true
	}
	pointerBits := sb.blockBits - 2
	rest := logical - directBlocks
	for depth := 1; depth <= 3; depth++ {
		if n := uint64(1) << (pointerBits * uint(depth)); rest >= n {
			rest -= n
			continue
		}
		p := indirectPath{depth: depth}
		p.index[0] = directBlocks + uint64(depth) - 1
		for level := 0; level <= depth; level++ {
			shift := pointerBits * uint(depth-level)
			p.span[level] = 1 << shift
			if level > 0 {
				p.index[level] = rest >> shift & (1<<pointerBits - 1)
			}
		}
		return p, true
	}
	return indirectPath{}, false
}

func (fs *FS) mapIndirect(ctx context.Context, in *inode, logical uint64) (run, error) {
	path, ok := fs.sb.indirectPathOf(logical)
	if !ok || logical >= 1<<32 {
		return run{}, in.damage("block %d: block maps end before it", logical)
	}
	pointers := in.iBlock()
	if path.depth == 0 {
		pointers = pointers[:4*directBlocks]
	}
	for level := 0; ; level++ {
		i := path.index[level]
		block := uint64(le32(pointers, int(i)))
		switch {
		case block == 0:
			return fs.indirectHole(logical, pointers, path, level), nil
		case !fs.sb.validBlocks(block, 1):
			return run{}, in.damage("block %d is mapped to %d", logical, block)
		case level == path.depth:
			return fs.indirectRun(logical, pointers, int(i)), nil
		}
		var err error
		if pointers, err = fs.indirectBlock(ctx, in, block); err != nil {
			return run{}, err
		}
	}
}

// indirectHole returns the hole from logical on, as long as pointers shows it to be.
func (fs *FS) indirectHole(logical uint64, pointers []byte, path indirectPath, level int) run {
	base := uint64(0) // the first block that the pointer in i_block covers
	if path.depth > 0 {
		base = directBlocks
	}
	for depth := 1; depth < path.depth; depth++ {
		base += 1 << ((fs.sb.blockBits - 2) * uint(depth))
	}
	span := path.span[level]
	end := base + (logical-base)/span*span + span
	if level > 0 || path.depth == 0 {
		for i := int(path.index[level]) + 1; i < len(pointers)/4 && le32(pointers, i) == 0; i++ {
			end += span
		}
	}
	return run{logical: logical, count: end - logical}
}

// indirectRun returns the run from the i-th pointer on.
func (fs *FS) indirectRun(logical uint64, pointers []byte, i int) run {
	first := uint64(le32(pointers, i))
	r := run{logical: logical, physical: first, count: 1, allocated: true}
	for i++; i < len(pointers)/4 && uint64(le32(pointers, i)) == first+r.count && first+r.count < fs.sb.blocksCount; i++ {
		r.count++
	}
	return r
}

// indirectBlock reads a block of pointers. All of them must be valid.
func (fs *FS) indirectBlock(ctx context.Context, in *inode, block uint64) ([]byte, error) {
	key := blockKey{block: block, owner: in.ino, kind: blockIndirect}
	return fs.block(ctx, key, func(p []byte) error {
		for i := range len(p) / 4 {
			if b := uint64(le32(p, i)); b != 0 && !fs.sb.validBlocks(b, 1) {
				return key.damage("pointer %d is %d", i, b)
			}
		}
		return nil
	})
}
