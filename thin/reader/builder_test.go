package reader

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"thintree/thin/blockdev"
)

// The format of metadata is that of drivers/md/dm-thin-metadata.c. There are no space maps,
// because package reader does not use them.
const (
	metadataBlock  = 4096
	metadataBlocks = 64

	superblockSalt = 160774
	nodeSalt       = 121107

	internalNode, leafNode = 1, 2

	perLeaf = 40 // mappings; so few that a small pool has several leaves
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// seal sets a block's number and checksum.
func seal(p []byte, number uint64, salt uint32) {
	le.PutUint64(p[8:], number)
	le.PutUint32(p, ^crc32.Checksum(p[4:], castagnoli)^salt)
}

// builder packs metadata, one block after another.
type builder struct {
	p    []byte
	next uint64
}

func (b *builder) block(n uint64) []byte { return b.p[n*metadataBlock:][:metadataBlock] }

type entry struct {
	key   uint64
	value []byte
}

// node packs a btree node and returns its block.
func (b *builder) node(flags uint32, valueSize int, entries []entry) uint64 {
	n := b.next
	b.next++
	p := b.block(n)
	room := (metadataBlock - 32) / (8 + valueSize) / 3 * 3
	le.PutUint32(p[4:], flags)
	le.PutUint32(p[16:], uint32(len(entries)))
	le.PutUint32(p[20:], uint32(room))
	le.PutUint32(p[24:], uint32(valueSize))
	for i, e := range entries {
		le.PutUint64(p[32+8*i:], e.key)
		copy(p[32+8*room+valueSize*i:], e.value)
	}
	seal(p, n, nodeSalt)
	return n
}

// mappings packs the mapping tree of a device and returns its root.
func (b *builder) mappings(d deviceSpec) uint64 {
	var entries []entry
	for _, r := range d.runs {
		for i := range r.length {
			entries = append(entries, entry{uint64(r.virtual + i), le.AppendUint64(nil, uint64(r.data+i)<<24|uint64(r.time))})
		}
	}
	if len(entries) <= perLeaf {
		return b.node(leafNode, 8, entries)
	}
	var leaves []entry
	for part := range slices.Chunk(entries, perLeaf) {
		leaves = append(leaves, entry{part[0].key, le.AppendUint64(nil, b.node(leafNode, 8, part))})
	}
	return b.node(internalNode, 8, leaves)
}

// metadata are the metadata of the pool, in metadataBlocks blocks.
func (s poolSpec) metadata() []byte {
	b := &builder{p: make([]byte, metadataBlocks*metadataBlock), next: 1}
	var roots, details []entry
	for _, d := range s.devices {
		roots = append(roots, entry{uint64(d.id), le.AppendUint64(nil, b.mappings(d))})
		value := le.AppendUint64(le.AppendUint64(nil, uint64(len(d.mapped()))), d.transaction)
		details = append(details, entry{uint64(d.id), append(value, make([]byte, 8)...)})
	}
	p := b.block(0)
	le.PutUint64(p[32:], 27022010)
	le.PutUint32(p[40:], 2)
	le.PutUint64(p[48:], s.transaction)
	le.PutUint64(p[64:], uint64(s.dataBlocks))
	le.PutUint64(p[192:], metadataBlocks)
	le.PutUint64(p[320:], b.node(leafNode, 8, roots))
	le.PutUint64(p[328:], b.node(leafNode, 24, details))
	le.PutUint32(p[336:], uint32(s.blockBytes/blockdev.SectorBytes))
	le.PutUint32(p[340:], metadataBlock/blockdev.SectorBytes)
	le.PutUint64(p[344:], metadataBlocks)
	seal(p, 0, superblockSalt)
	return b.p
}

// hold adds a metadata snapshot of the present metadata.
func hold(metadata []byte) {
	const last = metadataBlocks - 1
	super, held := metadata[:metadataBlock], metadata[last*metadataBlock:]
	copy(held, super)
	clear(held[56:320]) // the held root and the space maps
	seal(held, last, superblockSalt)
	le.PutUint64(super[56:], last)
	seal(super, 0, superblockSalt)
}

// leafOf is the leaf that maps a virtual block to a data block.
func leafOf(t *testing.T, metadata []byte, virtual, data uint64) []byte {
	t.Helper()
	for p := range slices.Chunk(metadata, metadataBlock) {
		if le.Uint32(p[4:]) != leafNode || le.Uint32(p[24:]) != 8 {
			continue
		}
		nr, room := int(le.Uint32(p[16:])), int(le.Uint32(p[20:]))
		for i := range nr {
			if le.Uint64(p[32+8*i:]) == virtual && le.Uint64(p[32+8*(room+i):])>>24 == data {
				return p
			}
		}
	}
	t.Fatalf("no leaf maps block %d to %d", virtual, data)
	return nil
}
