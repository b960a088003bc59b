package pdata

import (
	"context"
	"encoding/binary"
	"fmt"
)

// SpaceMap counts how often each block is referred to: struct disk_sm_root and
// what it leads to. A data block's count is of the leaves that map it, not of the
// devices, which may share leaves. Its methods may be called concurrently.
type SpaceMap struct {
	m    *Metadata
	data bool
}

// DataSpaceMap counts the data blocks.
func (m *Metadata) DataSpaceMap() *SpaceMap { return &SpaceMap{m: m, data: true} }

// MetadataSpaceMap counts the metadata blocks.
func (m *Metadata) MetadataSpaceMap() *SpaceMap { return &SpaceMap{m: m} }

const (
	// bitmapEntries are in one bitmap block: two bits each, after a header.
	bitmapEntries = 4 * (BlockBytes - bitmapHeader)
	bitmapHeader  = 16
	// indexEntries are in the one index block of the metadata's space map.
	indexEntries = 255
	indexEntry   = 16 // bytes of struct disk_index_entry
	// overflow is the two bits that mean: see the tree of reference counts.
	overflow = 3
)

func (s *SpaceMap) root(c *commit) SpaceMapRoot {
	if s.data {
		return c.sb.DataSpaceMapRoot
	}
	return c.sb.MetadataSpaceMapRoot
}

// RefCount is how often a block is referred to.
func (s *SpaceMap) RefCount(ctx context.Context, block uint64) (count uint32, err error) {
	err = s.m.consistent(ctx, func(c *commit) error {
		root := s.root(c)
		if block >= root.NrBlocks {
			return fmt.Errorf("space map: block %d of %d", block, root.NrBlocks)
		}
		bits, err := s.bitmap(ctx, c, block/bitmapEntries)
		if err != nil {
			return err
		}
		if count = entry(bits, block%bitmapEntries); count < overflow {
			return nil
		}
		t := &tree{m: s.m, c: c, name: "space map", root: root.RefCountRoot, size: 4}
		value, err := t.find(ctx, block)
		if err != nil {
			return err
		}
		if value == nil {
			return &DamageError{Tree: "space map", Block: root.RefCountRoot, Fault: "it lacks a count that is said to be there", First: block, Last: block}
		}
		count = binary.LittleEndian.Uint32(value)
		return nil
	})
	return count, err
}

// entry is the count in two bits of a bitmap, of which the lower is the more
// significant.
func entry(bits []byte, i uint64) uint32 {
	word := binary.LittleEndian.Uint64(bits[bitmapHeader+i/32*8:])
	two := word >> (i % 32 * 2)
	return uint32(two&1<<1 | two>>1&1)
}

// bitmap reads the bitmap block with a number.
func (s *SpaceMap) bitmap(ctx context.Context, c *commit, number uint64) ([]byte, error) {
	at, err := s.bitmapBlock(ctx, c, number)
	if err != nil {
		return nil, err
	}
	return s.m.checked(c, at, bitmapSalt, number*bitmapEntries)
}

// bitmapBlock finds where the bitmap block with a number is.
func (s *SpaceMap) bitmapBlock(ctx context.Context, c *commit, number uint64) (uint64, error) {
	root := s.root(c)
	lost := func(fault string) error {
		return &DamageError{
			Tree: "space map", Block: root.BitmapRoot, Fault: fault,
			First: number * bitmapEntries, Last: (number+1)*bitmapEntries - 1,
		}
	}
	if s.data {
		t := &tree{m: s.m, c: c, name: "space map", root: root.BitmapRoot, size: indexEntry}
		value, err := t.find(ctx, number)
		if err != nil {
			return 0, err
		}
		if value == nil {
			return 0, lost("it lacks a bitmap block")
		}
		return binary.LittleEndian.Uint64(value), nil
	}
	if number >= indexEntries {
		return 0, lost("more bitmap blocks than its index has room for")
	}
	b, err := s.m.checked(c, root.BitmapRoot, indexSalt, 0)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[bitmapHeader+number*indexEntry:]), nil
}

// checked reads a block of the space map that is no btree node: its header is
// the checksum, four bytes without meaning, and its own number.
func (m *Metadata) checked(c *commit, at uint64, salt uint32, first uint64) ([]byte, error) {
	lost := func(format string, args ...any) error {
		return &DamageError{Tree: "space map", Block: at, Fault: fmt.Sprintf(format, args...), First: first, Last: first + bitmapEntries - 1}
	}
	if at == 0 || at >= c.sb.MetadataSpaceMapRoot.NrBlocks {
		return nil, lost("it lies outside of the metadata")
	}
	b, err := m.block(at)
	if err != nil {
		return nil, err
	}
	if want, got := checksum(b, salt), binary.LittleEndian.Uint32(b); got != want {
		return nil, lost("checksum %#08x instead of %#08x", got, want)
	}
	if n := binary.LittleEndian.Uint64(b[8:]); n != at {
		return nil, lost("it says that it is block %d", n)
	}
	return b, nil
}
