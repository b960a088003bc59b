package pdata

import (
	"slices"

	"thintree/thin/blockdev"
)

// poolSpec describes a pool for a test.
type poolSpec struct {
	time         uint32
	transaction  uint64
	dataBlocks   uint64 // 0: 100 more than are mapped
	blockSectors uint32 // 0: 128
	blocks       uint64 // metadata blocks; 0: some more than are needed
	devices      []deviceSpec
	fanout       int  // the most entries in a node; 0: as many as fit
	narrow       bool // nodes have little more room than fanout
	held         bool // the pool holds a metadata snapshot of itself
}

type deviceSpec struct {
	DeviceDetails // MappedBlocks are counted
	mappings      []Run
}

// device is a device in both trees.
func device(id uint32, mappings ...Run) deviceSpec {
	return deviceSpec{DeviceDetails{
		ID: id, TransactionID: uint64(id) + 1, CreationTime: id % 7, SnapshottedTime: id % 5, InMappings: true, InDetails: true,
	}, mappings}
}

// mapped is a run of mapped blocks.
func mapped(virtual, data, length uint64, time uint32) Run {
	return Run{Virtual: virtual, Length: length, Mapped: true, Data: data, Time: time}
}

// builder packs metadata. Mapping trees share equal nodes.
type builder struct {
	blocks   [][]byte
	refs     []uint32 // the reference count of each block
	fanout   int
	narrow   bool
	nodes    map[string]uint64 // mapping nodes, by contents
	dataRefs []uint32
}

type entry struct {
	key   uint64
	value []byte
}

// build makes metadata.
func build(spec poolSpec) *image {
	spec.blockSectors = max(spec.blockSectors, 128*(1-min(spec.blockSectors, 1)))
	if spec.dataBlocks == 0 {
		spec.dataBlocks = 100
		for _, d := range spec.devices {
			for _, r := range d.mappings {
				spec.dataBlocks = max(spec.dataBlocks, r.Data+r.Length+100)
			}
		}
	}
	b := &builder{fanout: spec.fanout, narrow: spec.narrow, nodes: map[string]uint64{}, dataRefs: make([]uint32, spec.dataBlocks)}
	b.alloc() // the superblock
	s := Superblock{
		Version: superblockVersion, Time: spec.time, TransactionID: spec.transaction,
		DataBlockSize: spec.blockSectors, MetadataBlockSize: BlockBytes / blockdev.SectorBytes,
	}
	s.DataMappingRoot, s.DeviceDetailsRoot = b.devices(spec.devices)
	if spec.held {
		s.HeldRoot = b.alloc()
		b.refs[s.DataMappingRoot]++
		b.refs[s.DeviceDetailsRoot]++
		copied := s
		copied.HeldRoot, copied.BlockNr = 0, s.HeldRoot
		packSuperblock(b.blocks[s.HeldRoot], copied)
	}
	s.DataSpaceMapRoot = b.dataSpaceMap()
	s.MetadataSpaceMapRoot = b.metadataSpaceMap(spec.blocks)
	s.MetadataNrBlocks = s.MetadataSpaceMapRoot.NrBlocks
	packSuperblock(b.blocks[0], s)
	im := &image{make([]byte, s.MetadataNrBlocks*BlockBytes), s}
	for i, p := range b.blocks {
		copy(im.block(uint64(i)), p)
	}
	return im
}

func packSuperblock(p []byte, s Superblock) {
	le.PutUint32(p[4:], s.Flags)
	le.PutUint64(p[8:], s.BlockNr)
	copy(p[16:], s.UUID[:])
	le.PutUint64(p[32:], superblockMagic)
	le.PutUint32(p[40:], s.Version)
	le.PutUint32(p[44:], s.Time)
	le.PutUint64(p[48:], s.TransactionID)
	le.PutUint64(p[56:], s.HeldRoot)
	for i, r := range []SpaceMapRoot{s.DataSpaceMapRoot, s.MetadataSpaceMapRoot} {
		for j, v := range []uint64{r.NrBlocks, r.NrAllocated, r.BitmapRoot, r.RefCountRoot} {
			le.PutUint64(p[64+128*i+8*j:], v)
		}
	}
	le.PutUint64(p[320:], s.DataMappingRoot)
	le.PutUint64(p[328:], s.DeviceDetailsRoot)
	le.PutUint32(p[336:], s.DataBlockSize)
	le.PutUint32(p[340:], s.MetadataBlockSize)
	le.PutUint64(p[344:], s.MetadataNrBlocks)
	le.PutUint32(p[352:], s.CompatFlags)
	le.PutUint32(p[356:], s.CompatROFlags)
	le.PutUint32(p[360:], s.IncompatFlags)
	le.PutUint32(p, sum(p, saltSuperblock))
}

func (b *builder) alloc() uint64 {
	b.blocks = append(b.blocks, make([]byte, BlockBytes))
	b.refs = append(b.refs, 1)
	return uint64(len(b.blocks) - 1)
}

// seal sets a block's number and checksum.
func (b *builder) seal(block uint64, salt uint32) {
	p := b.blocks[block]
	le.PutUint64(p[8:], block)
	le.PutUint32(p, sum(p, salt))
}

func (b *builder) devices(specs []deviceSpec) (mappings, details uint64) {
	specs = slices.Clone(specs)
	slices.SortFunc(specs, func(x, y deviceSpec) int { return int(x.ID) - int(y.ID) })
	var roots, list []entry
	for _, d := range specs {
		var entries []entry
		for _, r := range d.mappings {
			for i := range r.Length {
				entries = append(entries, entry{r.Virtual + i, le.AppendUint64(nil, (r.Data+i)<<24|uint64(r.Time))})
			}
		}
		if d.InMappings {
			roots = append(roots, entry{uint64(d.ID), le.AppendUint64(nil, b.tree(entries, 8, true))})
		}
		if d.InDetails {
			v := le.AppendUint64(le.AppendUint64(nil, uint64(len(entries))), d.TransactionID)
			list = append(list, entry{uint64(d.ID), le.AppendUint32(le.AppendUint32(v, d.CreationTime), d.SnapshottedTime)})
		}
	}
	return b.tree(roots, 8, false), b.tree(list, 24, false)
}

// tree packs a btree and returns its root. If it is a mapping tree, its leaves count as
// references to data blocks.
func (b *builder) tree(entries []entry, valueSize int, mapping bool) uint64 {
	level := b.level(entries, valueSize, flagLeaf, mapping)
	for len(level) > 1 {
		level = b.level(level, childBytes, flagInternal, mapping)
	}
	return le.Uint64(level[0].value)
}

// level packs one level of a btree and returns the entries of the level above.
func (b *builder) level(entries []entry, valueSize int, flags uint32, mapping bool) (parents []entry) {
	room := (BlockBytes - nodeHeaderBytes) / (8 + valueSize) / 3 * 3
	most := room
	if b.fanout > 0 {
		most = min(b.fanout, room)
	}
	if b.narrow {
		room = (most + 2) / 3 * 3
	}
	nodes := max((len(entries)+most-1)/most, 1)
	for i := range nodes { // of nearly equal lengths: none is nearly empty
		part := entries[i*len(entries)/nodes : (i+1)*len(entries)/nodes]
		block := b.node(part, room, valueSize, flags, mapping)
		key := uint64(0)
		if len(part) > 0 {
			key = part[0].key
		}
		parents = append(parents, entry{key, le.AppendUint64(nil, block)})
	}
	return parents
}

func (b *builder) node(entries []entry, room, valueSize int, flags uint32, mapping bool) uint64 {
	p := make([]byte, BlockBytes)
	le.PutUint32(p[4:], flags)
	le.PutUint32(p[16:], uint32(len(entries)))
	le.PutUint32(p[20:], uint32(room))
	le.PutUint32(p[24:], uint32(valueSize))
	for i, e := range entries {
		le.PutUint64(p[nodeHeaderBytes+8*i:], e.key)
		copy(p[nodeHeaderBytes+8*room+valueSize*i:], e.value)
	}
	if block, ok := b.nodes[string(p)]; ok && mapping {
		b.refs[block]++
		if flags == flagInternal { // packing the children again counted them again
			for _, e := range entries {
				b.refs[le.Uint64(e.value)]--
			}
		}
		return block
	}
	block := b.alloc()
	if mapping {
		b.nodes[string(p)] = block
		if flags == flagLeaf {
			for _, e := range entries {
				if data := le.Uint64(e.value) >> 24; data < uint64(len(b.dataRefs)) {
					b.dataRefs[data]++
				}
			}
		}
	}
	copy(b.blocks[block], p)
	b.seal(block, saltNode)
	return block
}

func (b *builder) dataSpaceMap() SpaceMapRoot {
	nr := len(b.dataRefs)
	r := SpaceMapRoot{NrBlocks: uint64(nr)}
	var index []entry
	for i := 0; i < nr; i += blocksPerBitmap {
		index = append(index, entry{uint64(i / blocksPerBitmap), b.bitmap(b.dataRefs[i:min(i+blocksPerBitmap, nr)], nil)})
	}
	r.BitmapRoot = b.tree(index, indexEntryBytes, false)
	r.RefCountRoot, r.NrAllocated = b.manyCounts(b.dataRefs)
	return r
}

// bitmap packs a bitmap in the block at, or in a new one if at is nil. It returns the bitmap's
// index entry.
func (b *builder) bitmap(refs []uint32, at *uint64) []byte {
	if at == nil {
		block := b.alloc()
		at = &block
	}
	free, firstFree := 0, len(refs)
	for i, n := range refs {
		bits := min(n, 3)
		b.blocks[*at][bitmapHeaderBytes+i/4] |= byte(bits>>1|bits&1<<1) << (i % 4 * 2)
		if n == 0 {
			free, firstFree = free+1, min(firstFree, i)
		}
	}
	b.seal(*at, saltBitmap)
	return le.AppendUint32(le.AppendUint32(le.AppendUint64(nil, *at), uint32(free)), uint32(firstFree))
}

// manyCounts packs the tree of the counts that are too large for a bitmap.
func (b *builder) manyCounts(refs []uint32) (root, allocated uint64) {
	var many []entry
	for i, n := range refs {
		if n > 0 {
			allocated++
		}
		if n >= manyCounts {
			many = append(many, entry{uint64(i), le.AppendUint32(nil, n)})
		}
	}
	return b.tree(many, 4, false), allocated
}

func (b *builder) metadataSpaceMap(nrBlocks uint64) SpaceMapRoot {
	used := slices.Clone(b.refs)
	var r SpaceMapRoot
	r.RefCountRoot, _ = b.manyCounts(used)
	r.NrBlocks = max(nrBlocks, uint64(len(b.blocks))*5/4+64)
	r.BitmapRoot = b.alloc()
	var bitmaps []uint64
	for range r.bitmaps() {
		bitmaps = append(bitmaps, b.alloc())
	}
	r.NrAllocated = uint64(len(b.blocks))
	refs := append(slices.Clone(b.refs), make([]uint32, r.NrBlocks-r.NrAllocated)...)
	for i, block := range bitmaps {
		part := refs[i*blocksPerBitmap : min((i+1)*blocksPerBitmap, len(refs))]
		copy(b.blocks[r.BitmapRoot][indexHeaderBytes+i*indexEntryBytes:], b.bitmap(part, &block))
	}
	b.seal(r.BitmapRoot, saltIndex)
	return r
}
