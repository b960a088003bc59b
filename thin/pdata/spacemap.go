package pdata

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

const (
	bitmapHeaderBytes = 16
	blocksPerBitmap   = (BlockBytes - bitmapHeaderBytes) * 4
	indexEntryBytes   = 16
	indexHeaderBytes  = 16
	indexEntries      = (BlockBytes - indexHeaderBytes) / indexEntryBytes

	// maxMetadataBlocks is how many metadata blocks the bitmaps of one index are for.
	maxMetadataBlocks = indexEntries * blocksPerBitmap

	// manyCounts in a bitmap says that the count is 3 or more, and is in the reference
	// count tree.
	manyCounts = 3
)

// SpaceMap has the reference count of each block: struct ll_disk of dm-space-map-common.h. The
// count of a data block is the number of leaves that map to it, not of devices. Its methods may
// be called concurrently.
type SpaceMap struct {
	m    *Metadata
	name Tree
}

// DataSpaceMap is the space map of the data blocks.
func (m *Metadata) DataSpaceMap() *SpaceMap { return &SpaceMap{m, TreeData} }

// MetadataSpaceMap is the space map of the metadata blocks.
func (m *Metadata) MetadataSpaceMap() *SpaceMap { return &SpaceMap{m, TreeMetadata} }

// Counts is a run of blocks with the same reference count.
type Counts struct {
	Block  uint64 // the first
	Length uint64 // in blocks
	Count  uint32 // 0: free
}

// RefCount is the reference count of a block, 0 if it is free. It is an error if the space map
// has no such block. Damage is a [DamageError]. The error is [ErrNoSpaceMap] for a metadata
// snapshot.
func (s *SpaceMap) RefCount(ctx context.Context, block uint64) (uint32, error) {
	var count uint32
	err := s.read(ctx, func(v *View, root SpaceMapRoot) error {
		if block >= root.NrBlocks {
			return fmt.Errorf("%s: no block %d: it has %d", s.name, block, root.NrBlocks)
		}
		part, err := s.part(ctx, v, root, span{block, block + 1})
		if err != nil {
			return err
		}
		count = part.found[0].counts.Count
		return part.found[0].err
	})
	return count, err
}

// All lists the reference counts of all blocks, in order. A range that cannot be read is listed
// as a [DamageError], and the listing continues after it. Any other error ends it.
//
// A live pool is listed in parts. Each part is of one superblock, but the whole listing need
// not be.
func (s *SpaceMap) All(ctx context.Context) iter.Seq2[Counts, error] {
	return func(yield func(Counts, error) bool) {
		var last Counts
		for next, done := uint64(0), false; !done; {
			var part countsPart
			err := s.read(ctx, func(v *View, root SpaceMapRoot) (err error) {
				if done = next >= root.NrBlocks; done {
					part = countsPart{}
					return nil
				}
				part, err = s.part(ctx, v, root, span{next, root.NrBlocks})
				return err
			})
			if err != nil {
				yield(Counts{}, err)
				return
			}
			for _, f := range part.found {
				if f.err == nil && f.counts.Count == last.Count && last.Length > 0 {
					last.Length += f.counts.Length
					continue
				}
				if last.Length > 0 && !yield(last, nil) {
					return
				}
				last = f.counts
				if f.err != nil && !yield(Counts{}, f.err) {
					return
				}
			}
			next = part.end
		}
		if last.Length > 0 {
			yield(last, nil)
		}
	}
}

func (s *SpaceMap) read(ctx context.Context, f func(*View, SpaceMapRoot) error) error {
	if s.m.opts.HeldRoot {
		return ErrNoSpaceMap
	}
	return s.m.Read(ctx, func(v *View) error {
		if s.name == TreeData {
			return f(v, v.pool.DataSpaceMapRoot)
		}
		return f(v, v.pool.MetadataSpaceMapRoot)
	})
}

// countsPart is a part of a listing: the counts of the blocks before end.
type countsPart struct {
	found []foundCounts // in order, without gaps
	end   uint64
}

type foundCounts struct {
	counts Counts // Length is 0 if there is an error
	err    error
}

// part reads the counts of the first blocks of a range, up to the end of one bitmap or of
// damage.
func (s *SpaceMap) part(ctx context.Context, v *View, root SpaceMapRoot, blocks span) (countsPart, error) {
	index := blocks.begin / blocksPerBitmap
	bitmap, damage, err := s.bitmap(ctx, v, root, index)
	if err != nil {
		return countsPart{}, err
	}
	if damage != nil {
		return countsPart{found: []foundCounts{{err: damage}}, end: max(damage.KeyEnd, blocks.begin+1)}, nil
	}
	part := countsPart{end: min(blocks.end, (index+1)*blocksPerBitmap)}
	for b := blocks.begin; b < part.end; b++ {
		count := bitmapCount(bitmap, b%blocksPerBitmap)
		if count == manyCounts {
			if count, damage, err = s.manyCount(ctx, v, root, b); err != nil {
				return part, err
			}
			if damage != nil {
				part.addDamage(damage)
				continue
			}
		}
		part.add(Counts{Block: b, Length: 1, Count: count})
	}
	return part, nil
}

func (part *countsPart) add(c Counts) {
	if n := len(part.found); n > 0 && part.found[n-1].err == nil && part.found[n-1].counts.Count == c.Count {
		part.found[n-1].counts.Length++
		return
	}
	part.found = append(part.found, foundCounts{counts: c})
}

// addDamage adds damage, or extends the last damage if it is the same block's.
func (part *countsPart) addDamage(damage *DamageError) {
	if n := len(part.found); n > 0 {
		if last, ok := part.found[n-1].err.(*DamageError); ok && last.KeyEnd == damage.KeyBegin && last.Block == damage.Block {
			last.KeyEnd = damage.KeyEnd
			return
		}
	}
	part.found = append(part.found, foundCounts{err: damage})
}

// bitmapCount is the count of block i in a bitmap. The lower of its two bits is the more
// significant one.
func bitmapCount(p []byte, i uint64) uint32 {
	bits := p[bitmapHeaderBytes+i/4] >> (i % 4 * 2)
	return uint32(bits&1<<1 | bits>>1&1)
}

// manyCount is the count of a block from the reference count tree.
func (s *SpaceMap) manyCount(ctx context.Context, v *View, root SpaceMapRoot, block uint64) (count uint32, damage *DamageError, err error) {
	t := &tree{name: s.name, root: root.RefCountRoot, valueSize: 4, keyEnd: root.NrBlocks}
	p, found, err := v.lookup(ctx, t, block)
	switch own := (span{block, block + 1}); {
	case errors.As(err, &damage):
		return 0, t.damaged(damage.Block, own, damage.Err), nil
	case err != nil:
		return 0, nil, err
	case !found:
		return 0, t.damaged(root.RefCountRoot, own, errors.New("the reference count tree lacks its count")), nil
	}
	return le.Uint32(p), nil, nil
}

// bitmap reads the bitmap of an index.
func (s *SpaceMap) bitmap(ctx context.Context, v *View, root SpaceMapRoot, index uint64) (p []byte, damage *DamageError, err error) {
	block, damage, err := s.bitmapBlock(ctx, v, root, index)
	if damage != nil || err != nil {
		return nil, damage, err
	}
	p, err = v.block(ctx, block, kindBitmap)
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil {
		return nil, s.damaged(root, block, span{index, index + 1}, err), nil
	}
	return p, nil, nil
}

// bitmapBlock finds the block of a bitmap in the index.
func (s *SpaceMap) bitmapBlock(ctx context.Context, v *View, root SpaceMapRoot, index uint64) (block uint64, damage *DamageError, err error) {
	if s.name == TreeMetadata {
		p, err := v.block(ctx, root.BitmapRoot, kindIndex)
		switch {
		case ctx.Err() != nil:
			return 0, nil, ctx.Err()
		case err != nil:
			return 0, s.damaged(root, root.BitmapRoot, span{0, indexEntries}, err), nil
		}
		return le.Uint64(p[indexHeaderBytes+index*indexEntryBytes:]), nil, nil
	}
	t := &tree{name: s.name, root: root.BitmapRoot, valueSize: indexEntryBytes, keyEnd: root.bitmaps()}
	missing := span{index, t.keyEnd}
	v.each(ctx, t, missing, func(it item, e error) bool {
		missing.end, err = it.key, e
		if it.key == index && it.damage != nil {
			damage = s.damaged(root, it.damage.Block, span{it.damage.KeyBegin, it.damage.KeyEnd}, it.damage.Err)
		} else if it.key == index && e == nil {
			block = le.Uint64(it.value)
		}
		return false
	})
	if err != nil || damage != nil || missing.end == index {
		return block, damage, err
	}
	return 0, s.damaged(root, root.BitmapRoot, missing, errors.New("the index lacks bitmaps")), nil
}

// damaged is the damage of a range of bitmaps, in blocks.
func (s *SpaceMap) damaged(root SpaceMapRoot, block uint64, bitmaps span, err error) *DamageError {
	t := tree{name: s.name}
	return t.damaged(block, span{bitmaps.begin * blocksPerBitmap, min(bitmaps.end*blocksPerBitmap, root.NrBlocks)}, err)
}

// bitmaps is how many bitmaps the space map has.
func (r SpaceMapRoot) bitmaps() uint64 {
	return (r.NrBlocks + blocksPerBitmap - 1) / blocksPerBitmap
}
