package pdata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// BlockBytes is the length of a metadata block in bytes.
const BlockBytes = 4096

// What the checksum of each kind of block is XORed with.
const (
	superblockSalt = 160774
	nodeSalt       = 121107
	indexSalt      = 160478
	bitmapSalt     = 240779
)

const (
	superblockMagic   = 27022010
	superblockVersion = 2
	superblockEnd     = 364 // of the bytes that mean something
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is what a block's first four bytes have to be: CRC-32C, without the
// final inversion, of all the others.
func checksum(b []byte, salt uint32) uint32 {
	return ^crc32.Checksum(b[4:], castagnoli) ^ salt
}

// Superblock is struct thin_disk_superblock, block 0 of the metadata.
type Superblock struct {
	Flags         uint32
	UUID          [16]byte
	Time          uint32 // counts the pool's snapshots
	TransactionID uint64 // the user's
	HeldRoot      uint64 // block of the metadata snapshot's superblock, 0: none

	DataSpaceMapRoot     SpaceMapRoot
	MetadataSpaceMapRoot SpaceMapRoot

	DataMappingRoot   uint64
	DeviceDetailsRoot uint64

	DataBlockSize uint32 // in sectors of 512 bytes: 128 to 2,097,152, a multiple of 128
}

// SpaceMapRoot is struct disk_sm_root.
type SpaceMapRoot struct {
	NrBlocks, NrAllocated, BitmapRoot, RefCountRoot uint64
}

// NeedsCheck says that the kernel wants the pool checked before it is written to.
func (s *Superblock) NeedsCheck() bool { return s.Flags&1 != 0 }

// parseSuperblock checks and unpacks the superblock in block at.
func parseSuperblock(b []byte, at uint64) (*Superblock, error) {
	le := binary.LittleEndian
	damaged := func(format string, args ...any) error {
		return &DamageError{Tree: "superblock", Block: at, Fault: fmt.Sprintf(format, args...), Last: maxDeviceID}
	}
	if le.Uint64(b[32:]) != superblockMagic {
		for _, c := range b {
			if c != 0 {
				return nil, ErrNotPool
			}
		}
		return nil, ErrZeroed
	}
	if want, got := checksum(b, superblockSalt), le.Uint32(b); got != want {
		return nil, damaged("checksum %#08x instead of %#08x", got, want)
	}
	if n := le.Uint64(b[8:]); n != at {
		return nil, damaged("it says that it is block %d", n)
	}
	if v := le.Uint32(b[40:]); v != superblockVersion {
		return nil, &UnsupportedError{fmt.Sprintf("version %d", v)}
	}
	if f := le.Uint32(b[360:]); f != 0 {
		return nil, &UnsupportedError{fmt.Sprintf("incompatible features %#x", f)}
	}
	if n := le.Uint32(b[340:]); n != BlockBytes/512 {
		return nil, damaged("metadata blocks of %d sectors", n)
	}
	s := &Superblock{
		Flags: le.Uint32(b[4:]), UUID: [16]byte(b[16:32]), Time: le.Uint32(b[44:]),
		TransactionID: le.Uint64(b[48:]), HeldRoot: le.Uint64(b[56:]),
		DataSpaceMapRoot: parseSpaceMapRoot(b[64:]), MetadataSpaceMapRoot: parseSpaceMapRoot(b[192:]),
		DataMappingRoot: le.Uint64(b[320:]), DeviceDetailsRoot: le.Uint64(b[328:]),
		DataBlockSize: le.Uint32(b[336:]),
	}
	if n := s.DataBlockSize; n < 128 || n > 2097152 || n%128 != 0 {
		return nil, damaged("data blocks of %d sectors", n)
	}
	return s, nil
}

func parseSpaceMapRoot(b []byte) SpaceMapRoot {
	le := binary.LittleEndian
	return SpaceMapRoot{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])}
}
