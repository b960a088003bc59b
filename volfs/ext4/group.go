package ext4

import (
	"encoding/binary"
	"fmt"
)

// groupDesc is what is needed of struct ext4_group_desc.
type groupDesc struct {
	number                               uint32
	blockBitmap, inodeBitmap, inodeTable uint64
	freeBlocks                           uint32 // in clusters
	freeInodes                           uint32
}

// group gives the descriptor of block group g.
func (fs *FS) group(g uint32) (*groupDesc, error) {
	if d := fs.lastGroup.Load(); d != nil && d.number == g {
		return d, nil
	}
	sb := fs.sb
	p, err := fs.block(blockKey{block: sb.descriptorBlock(g / sb.descPerBlock), kind: blockDescriptors}, nil)
	if err != nil {
		return nil, err
	}
	off := int(g%sb.descPerBlock) * sb.descSize
	d, err := sb.parseGroupDesc(g, p[off:off+sb.descSize])
	if err == nil {
		fs.lastGroup.Store(d)
	}
	return d, err
}

func (sb *superblock) parseGroupDesc(g uint32, p []byte) (*groupDesc, error) {
	le := binary.LittleEndian
	fault := func(format string, args ...any) error {
		return damage(fmt.Sprintf("descriptor of group %d", g), format, args...)
	}
	if want, got, ok := sb.checkGroupCsum(g, p); !ok {
		return nil, fault("checksum %#x instead of %#x", want, got)
	}
	d := &groupDesc{
		number:      g,
		blockBitmap: uint64(le.Uint32(p[0x0:])),
		inodeBitmap: uint64(le.Uint32(p[0x4:])),
		inodeTable:  uint64(le.Uint32(p[0x8:])),
		freeBlocks:  uint32(le.Uint16(p[0xc:])),
		freeInodes:  uint32(le.Uint16(p[0xe:])),
	}
	if sb.descSize >= 64 {
		d.blockBitmap |= uint64(le.Uint32(p[0x20:])) << 32
		d.inodeBitmap |= uint64(le.Uint32(p[0x24:])) << 32
		d.inodeTable |= uint64(le.Uint32(p[0x28:])) << 32
		d.freeBlocks |= uint32(le.Uint16(p[0x2c:])) << 16
		d.freeInodes |= uint32(le.Uint16(p[0x2e:])) << 16
	}
	first, last := sb.groupBlocks(g)
	if sb.incompat(incompatFlexBG) {
		first, last = uint64(sb.firstDataBlock)+1, sb.blocksCount-1
	}
	inside := func(block, blocks uint64) bool { return block >= first && block <= last && blocks-1 <= last-block }
	switch {
	case !inside(d.blockBitmap, 1):
		return nil, fault("block bitmap at block %d", d.blockBitmap)
	case !inside(d.inodeBitmap, 1):
		return nil, fault("inode bitmap at block %d", d.inodeBitmap)
	case !inside(d.inodeTable, sb.inodeTableBlocks()):
		return nil, fault("inode table at block %d", d.inodeTable)
	}
	return d, nil
}

func (sb *superblock) checkGroupCsum(g uint32, p []byte) (want, got uint16, ok bool) {
	const bgChecksum = 0x1e
	want = binary.LittleEndian.Uint16(p[bgChecksum:])
	switch {
	case sb.metadataCsum():
		got = uint16(crc32cSkipping(crc32cUint32(sb.csumSeed, g), p, bgChecksum, 2))
	case sb.roCompat(roCompatGDTCsum):
		var number [4]byte
		binary.LittleEndian.PutUint32(number[:], g)
		got = crc16(crc16(^uint16(0), sb.uuid[:]), number[:])
		got = crc16(crc16(got, p[:bgChecksum]), p[bgChecksum+2:])
	default:
		return want, want, true
	}
	return want, got, want == got
}

// groupBlocks gives the first and the last block of group g.
func (sb *superblock) groupBlocks(g uint32) (first, last uint64) {
	first = uint64(sb.firstDataBlock) + uint64(g)*uint64(sb.blocksPerGroup)
	return first, min(first+uint64(sb.blocksPerGroup), sb.blocksCount) - 1
}

// inodeTableBlocks is how many blocks each group's inode table has.
func (sb *superblock) inodeTableBlocks() uint64 {
	inodesPerBlock := uint64(sb.blockSize / sb.inodeSize)
	return uint64(sb.inodesPerGroup) / inodesPerBlock
}

// descriptorBlock is where the n-th block of group descriptors lies.
func (sb *superblock) descriptorBlock(n uint32) uint64 {
	if !sb.incompat(incompatMetaBG) || n < sb.firstMetaBG {
		return superblockOffset>>sb.blockBits + uint64(n) + 1
	}
	g := n * sb.descPerBlock
	block, _ := sb.groupBlocks(g)
	if sb.hasSuper(g) {
		block++
	}
	if sb.blockSize == superblockOffset && n == 0 && sb.firstDataBlock == 0 {
		block++
	}
	return block
}

// hasSuper tells whether group g begins with the superblock or a backup of it.
func (sb *superblock) hasSuper(g uint32) bool {
	switch {
	case g == 0:
		return true
	case sb.compat(compatSparseSuper2):
		return g == sb.backupBGs[0] || g == sb.backupBGs[1]
	case g == 1 || !sb.roCompat(roCompatSparseSuper):
		return true
	}
	return isPower(g, 3) || isPower(g, 5) || isPower(g, 7)
}

func isPower(n, base uint32) bool {
	for n > 1 && n%base == 0 {
		n /= base
	}
	return n == 1
}

// descriptorBlocks is how many blocks of group descriptors, or backups of
// them, lie in group g.
func (sb *superblock) descriptorBlocks(g uint32) uint32 {
	meta := g / sb.descPerBlock
	switch {
	case !sb.incompat(incompatMetaBG) || meta < sb.firstMetaBG:
		switch {
		case !sb.hasSuper(g):
			return 0
		case sb.incompat(incompatMetaBG):
			return sb.firstMetaBG
		}
		return (sb.groups-1)/sb.descPerBlock + 1
	case g%sb.descPerBlock <= 1 || g%sb.descPerBlock == sb.descPerBlock-1:
		return 1
	}
	return 0
}
