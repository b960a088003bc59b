package ext4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"

	"thintree/volfs"
)

const (
	superblockOffset = 1024 // in bytes, in any volume
	superblockSize   = 1024 // in bytes
	superMagic       = 0xef53

	sectorBits  = 9 // log2 of sectorBytes
	sectorBytes = 1 << sectorBits

	stateValid = 0x1 // EXT4_VALID_FS: cleanly unmounted
	stateError = 0x2 // EXT4_ERROR_FS

	flagsUnsignedHash = 0x2 // EXT2_FLAGS_UNSIGNED_HASH

	encodingNoFallback = 0x2 // SB_ENC_NO_COMPAT_FALLBACK_FL

	creatorLinux  = 0
	csumTypeCRC32 = 1 // EXT4_CRC32C_CHKSUM

	goodOldRev       = 0
	goodOldInodeSize = 128
	goodOldFirstIno  = 11
)

// superblock has the fields of struct ext4_super_block that are needed, under the names
// that they have there.
type superblock struct {
	inodesCount     uint32
	blocksCount     uint64
	rBlocksCount    uint64
	firstDataBlock  uint32
	blockBits       uint // log2 of the block size in bytes
	blockSize       int
	clusterBits     uint // log2 of the blocks in a cluster
	blocksPerGroup  uint32
	inodesPerGroup  uint32
	state           uint16
	creatorOS       uint32
	firstIno        uint32
	inodeSize       int
	featureCompat   uint32
	featureIncompat uint32
	featureROCompat uint32
	uuid            [16]byte
	volumeName      string
	journalInum     uint32
	reservedGDT     uint16
	hashSeed        [4]uint32
	defHashVersion  uint8
	hashUnsigned    bool
	descSize        int
	firstMetaBG     uint32
	errorCount      uint32
	overhead        uint32 // s_overhead_clusters
	backupBGs       [2]uint32
	encoding        uint16
	encodingFlags   uint16

	groups       uint32 // number of block groups
	descPerBlock uint32
	csumSeed     uint32 // of metadata checksums
}

// parseSuperblock decodes and checks the superblock in p, which has
// superblockSize bytes.
func parseSuperblock(p []byte) (*superblock, error) {
	le := binary.LittleEndian
	u16 := func(off int) uint16 { return le.Uint16(p[off:]) }
	u32 := func(off int) uint32 { return le.Uint32(p[off:]) }

	if magic := u16(0x38); magic != superMagic {
		return nil, badSuperblock("magic number %#x instead of %#x", magic, superMagic)
	}
	sb := &superblock{
		inodesCount:     u32(0x0),
		blocksCount:     uint64(u32(0x4)),
		rBlocksCount:    uint64(u32(0x8)),
		firstDataBlock:  u32(0x14),
		blocksPerGroup:  u32(0x20),
		inodesPerGroup:  u32(0x28),
		state:           u16(0x3a),
		creatorOS:       u32(0x48),
		firstIno:        goodOldFirstIno,
		inodeSize:       goodOldInodeSize,
		featureCompat:   u32(0x5c),
		featureIncompat: u32(0x60),
		featureROCompat: u32(0x64),
		uuid:            [16]byte(p[0x68:]),
		volumeName:      cString(p[0x78:0x88]),
		reservedGDT:     u16(0xce),
		journalInum:     u32(0xe0),
		defHashVersion:  p[0xfc],
		descSize:        32,
		firstMetaBG:     u32(0x104),
		hashUnsigned:    u32(0x160)&flagsUnsignedHash != 0,
		errorCount:      u32(0x194),
		overhead:        u32(0x248),
		backupBGs:       [2]uint32{u32(0x24c), u32(0x250)},
		encoding:        u16(0x27c),
		encodingFlags:   u16(0x27e),
	}
	for i := range sb.hashSeed {
		sb.hashSeed[i] = u32(0xec + 4*i)
	}
	if err := sb.checkCsum(p); err != nil {
		return nil, err
	}
	if unread := sb.featureIncompat &^ incompatRead; unread != 0 {
		return nil, &volfs.UnsupportedError{FS: "ext4",
			What: "incompatible feature " + strings.Join(incompatNames.list(unread), ", ")}
	}
	if sb.incompat(incompat64bit) {
		sb.blocksCount |= uint64(u32(0x150)) << 32
		sb.rBlocksCount |= uint64(u32(0x154)) << 32
		sb.descSize = int(u16(0xfe))
	}
	if u32(0x4c) != goodOldRev {
		sb.firstIno, sb.inodeSize = u32(0x54), int(u16(0x58))
	}
	if err := sb.checkGeometry(u32(0x18), u32(0x1c), u32(0x24)); err != nil {
		return nil, err
	}
	if err := sb.checkEncoding(); err != nil {
		return nil, err
	}
	return sb, nil
}

// checkCsum verifies s_checksum and sets csumSeed.
func (sb *superblock) checkCsum(p []byte) error {
	const sChecksum = 0x3fc
	sb.csumSeed = crc32c(^uint32(0), sb.uuid[:])
	if sb.incompat(incompatCsumSeed) {
		sb.csumSeed = binary.LittleEndian.Uint32(p[0x270:])
	}
	if !sb.metadataCsum() {
		return nil
	}
	if t := p[0x175]; t != csumTypeCRC32 {
		return &volfs.UnsupportedError{FS: "ext4", What: fmt.Sprintf("checksum type %d", t)}
	}
	want, got := binary.LittleEndian.Uint32(p[sChecksum:]), crc32c(^uint32(0), p[:sChecksum])
	if want != got {
		return badSuperblock("checksum %#x instead of %#x", want, got)
	}
	return nil
}

// checkGeometry checks sizes and counts as the kernel does before it mounts. It does not
// compare them with the size of the volume.
func (sb *superblock) checkGeometry(logBlockSize, logClusterSize, clustersPerGroup uint32) error {
	if logBlockSize > 6 {
		return badSuperblock("s_log_block_size %d", logBlockSize)
	}
	sb.blockBits = 10 + uint(logBlockSize)
	sb.blockSize = 1 << sb.blockBits
	if sb.roCompat(roCompatBigalloc) {
		if logClusterSize < logBlockSize || logClusterSize > 20 {
			return badSuperblock("s_log_cluster_size %d", logClusterSize)
		}
		sb.clusterBits = uint(logClusterSize - logBlockSize)
	} else {
		clustersPerGroup = sb.blocksPerGroup
	}
	bitmapBits := uint32(sb.blockSize) * 8
	inodesPerBlock := uint32(sb.blockSize / max(sb.inodeSize, 1))
	sb.descPerBlock = uint32(sb.blockSize / max(sb.descSize, 1))
	switch {
	case sb.inodeSize < goodOldInodeSize || bits.OnesCount(uint(sb.inodeSize)) != 1 || sb.inodeSize > sb.blockSize:
		return badSuperblock("s_inode_size %d", sb.inodeSize)
	case sb.firstIno < goodOldFirstIno:
		return badSuperblock("s_first_ino %d", sb.firstIno)
	case sb.incompat(incompat64bit) && (sb.descSize < 64 || sb.descSize > 1024 || bits.OnesCount(uint(sb.descSize)) != 1):
		return badSuperblock("s_desc_size %d", sb.descSize)
	case sb.inodesPerGroup < inodesPerBlock || sb.inodesPerGroup > bitmapBits:
		return badSuperblock("s_inodes_per_group %d", sb.inodesPerGroup)
	case clustersPerGroup == 0 || clustersPerGroup > bitmapBits:
		return badSuperblock("s_clusters_per_group %d", clustersPerGroup)
	case uint64(sb.blocksPerGroup) != uint64(clustersPerGroup)<<sb.clusterBits:
		return badSuperblock("s_blocks_per_group %d, but %d clusters of %d blocks", sb.blocksPerGroup, clustersPerGroup, 1<<sb.clusterBits)
	case uint64(sb.firstDataBlock) >= sb.blocksCount:
		return badSuperblock("s_first_data_block %d of %d blocks", sb.firstDataBlock, sb.blocksCount)
	case sb.firstDataBlock == 0 && logBlockSize == 0 && sb.clusterBits == 0:
		return badSuperblock("s_first_data_block 0 with blocks of 1024 bytes")
	case sb.blocksCount > 1<<63>>sb.blockBits:
		return badSuperblock("s_blocks_count %d", sb.blocksCount)
	}
	groups := (sb.blocksCount - uint64(sb.firstDataBlock) + uint64(sb.blocksPerGroup) - 1) / uint64(sb.blocksPerGroup)
	if groups > 1<<32-uint64(sb.descPerBlock) {
		return badSuperblock("%d block groups", groups)
	}
	sb.groups = uint32(groups)
	if n := groups * uint64(sb.inodesPerGroup); n != uint64(sb.inodesCount) {
		return badSuperblock("s_inodes_count %d, but %d groups of %d inodes", sb.inodesCount, groups, sb.inodesPerGroup)
	}
	if n := (sb.groups-1)/sb.descPerBlock + 1; sb.incompat(incompatMetaBG) && sb.firstMetaBG > n {
		return badSuperblock("s_first_meta_bg %d of %d blocks of group descriptors", sb.firstMetaBG, n)
	}
	return nil
}

func (sb *superblock) checkEncoding() error {
	const utf8Version12_1 = 1
	if sb.incompat(incompatCasefold) && sb.encoding != utf8Version12_1 {
		return &volfs.UnsupportedError{FS: "ext4", What: fmt.Sprintf("file name encoding %d", sb.encoding)}
	}
	return nil
}

// blkidUUID returns the UUID as blkid(8) prints it: "" if it was never set.
func (sb *superblock) blkidUUID() string {
	u := sb.uuid
	if u == [16]byte{} {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func (sb *superblock) info() volfs.Info {
	return volfs.Info{
		Type:      sb.fsType(),
		Label:     sb.volumeName,
		UUID:      sb.blkidUUID(),
		SizeBytes: int64(sb.blocksCount << sb.blockBits),
		Dirty:     sb.incompat(incompatRecover) || sb.state&stateValid == 0,
		Errors:    sb.state&stateError != 0 || sb.errorCount > 0,
		Features:  sb.features(),
	}
}

// cString returns p up to its first NUL.
func cString(p []byte) string {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i]
	}
	return string(p)
}

func badSuperblock(format string, args ...any) error {
	return damage("superblock", format+"; backups of it may be intact: see mke2fs -n, e2fsck -b", args...)
}
