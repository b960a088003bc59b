package ext4

import (
	"context"
	"encoding/binary"
	"fmt"
)

// groupDesc has the fields of struct ext4_group_desc that are needed.
type groupDesc struct {
	number                               uint32
	blockBitmap, inodeBitmap, inodeTable uint64
	freeBlocks                           uint32 // in clusters
	freeInodes                           uint32
	csumFault                            error // nil if the checksum holds
	proven                               bool  // there is a checksum, and it holds
}

// group returns the descriptor of block group g. It is used even if its checksum fails,
// as in a read-only mount by the kernel.
func (fs *FS) group(ctx context.Context, g uint32) (*groupDesc, error) {
	if d := fs.lastGroup.Load(); d != nil && d.number == g {
		return d, nil
	}
	p, err := fs.descriptors(ctx, g/fs.sb.descPerBlock)
	if err != nil {
		return nil, err
	}
	d := new(groupDesc)
	if err := fs.sb.parseGroupDesc(d, g, p); err != nil {
		return nil, err
	}
	if err := fs.survey.check(fs.sb, d); err != nil {
		return nil, err
	}
	fs.lastGroup.Store(d)
	return d, nil
}

// descriptors returns the n-th block of group descriptors.
func (fs *FS) descriptors(ctx context.Context, n uint32) ([]byte, error) {
	return fs.block(ctx, blockKey{block: fs.sb.descriptorBlock(n), kind: blockDescriptors}, nil)
}

// tablesOf returns where the bitmaps and the inode table of a group lie.
func (sb *superblock) tablesOf(d *groupDesc) [3]zone {
	return [...]zone{
		{d.blockBitmap, d.blockBitmap + 1}, {d.inodeBitmap, d.inodeBitmap + 1},
		{d.inodeTable, d.inodeTable + sb.inodeTableBlocks()},
	}
}

func descDamage(g uint32, format string, args ...any) error {
	return damage(fmt.Sprintf("descriptor of group %d", g), format, args...)
}

// parseGroupDesc decodes the descriptor of group g in its block of descriptors into d.
func (sb *superblock) parseGroupDesc(d *groupDesc, g uint32, block []byte) error {
	le := binary.LittleEndian
	off := int(g%sb.descPerBlock) * sb.descSize
	p := block[off : off+sb.descSize]
	*d = groupDesc{
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
	if sb.metadataCsum() || sb.roCompat(roCompatGDTCsum) {
		has, should := sb.groupCsum(g, p)
		if d.proven = has == should; !d.proven {
			d.csumFault = descDamage(g, "checksum %#x instead of %#x", has, should)
		}
	}
	first, last := sb.groupBlocks(g)
	if sb.incompat(incompatFlexBG) {
		first, last = uint64(sb.firstDataBlock)+1, sb.blocksCount-1
	}
	inside := func(block, blocks uint64) bool { return block >= first && block <= last && blocks-1 <= last-block }
	switch {
	case !inside(d.blockBitmap, 1):
		return descDamage(g, "block bitmap at block %d", d.blockBitmap)
	case !inside(d.inodeBitmap, 1):
		return descDamage(g, "inode bitmap at block %d", d.inodeBitmap)
	case !inside(d.inodeTable, sb.inodeTableBlocks()):
		return descDamage(g, "inode table at block %d", d.inodeTable)
	}
	return nil
}

// groupCsum returns the checksum that the descriptor p of group g has, and the one that
// it should have.
func (sb *superblock) groupCsum(g uint32, p []byte) (has, should uint16) {
	const bgChecksum = 0x1e
	has = binary.LittleEndian.Uint16(p[bgChecksum:])
	if sb.metadataCsum() {
		return has, uint16(crc32cSkipping(crc32cUint32(sb.csumSeed, g), p, bgChecksum, 2))
	}
	var number [4]byte
	binary.LittleEndian.PutUint32(number[:], g)
	should = crc16(crc16(^uint16(0), sb.uuid[:]), number[:])
	return has, crc16(crc16(should, p[:bgChecksum]), p[bgChecksum+2:])
}

// groupBlocks returns the first and the last block of group g.
func (sb *superblock) groupBlocks(g uint32) (first, last uint64) {
	first = uint64(sb.firstDataBlock) + uint64(g)*uint64(sb.blocksPerGroup)
	return first, min(first+uint64(sb.blocksPerGroup), sb.blocksCount) - 1
}

// inodeTableBlocks returns the length in blocks of each group's inode table.
func (sb *superblock) inodeTableBlocks() uint64 {
	inodesPerBlock := uint64(sb.blockSize / sb.inodeSize)
	return uint64(sb.inodesPerGroup) / inodesPerBlock
}

// descriptorBlock returns the block number of the n-th block of group descriptors.
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

// hasSuper reports whether group g begins with the superblock or a backup of it.
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

// descriptorBlocks returns the number of blocks of group descriptors, or of backups of
// them, in group g.
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
