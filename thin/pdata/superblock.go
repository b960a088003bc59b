package pdata

import (
	"encoding/binary"
	"fmt"
	"math"

	"thintree/thin/blockdev"
)

const (
	// BlockBytes is the length of a metadata block in bytes.
	BlockBytes = 4096

	superblockMagic   = 27022010
	superblockVersion = 2
	superblockUsed    = 364 // bytes

	minBlockSectors   = 128     // 64 KiB
	maxBlockSectors   = 2 << 20 // 1 GiB
	flagNeedsCheck    = 1 << 0
	knownIncompatible = 0
)

var le = binary.LittleEndian

// Superblock is the first block of the metadata: struct
// thin_disk_superblock of dm-thin-metadata.c.
type Superblock struct {
	Flags         uint32
	BlockNr       uint64
	UUID          [16]byte
	Version       uint32
	Time          uint32 // a counter of snapshots, not a clock
	TransactionID uint64
	HeldRoot      uint64 // the block of the metadata snapshot, 0 if none is held

	// The roots of the space maps; zero in a metadata snapshot.
	DataSpaceMapRoot, MetadataSpaceMapRoot SpaceMapRoot

	DataMappingRoot   uint64 // a block
	DeviceDetailsRoot uint64 // a block
	DataBlockSize     uint32 // in 512-byte sectors
	MetadataBlockSize uint32 // in 512-byte sectors
	MetadataNrBlocks  uint64 // when the pool was made; there may be more now

	CompatFlags, CompatROFlags, IncompatFlags uint32
}

// SpaceMapRoot is where a space map begins, and how full it is: struct
// disk_sm_root of dm-space-map-common.h.
type SpaceMapRoot struct {
	NrBlocks     uint64
	NrAllocated  uint64
	BitmapRoot   uint64 // a metadata block
	RefCountRoot uint64 // a metadata block
}

// NeedsCheck reports whether the kernel found something wrong with the pool, and refuses to
// write to it until it is checked.
func (s *Superblock) NeedsCheck() bool { return s.Flags&flagNeedsCheck != 0 }

// dataBlockBytes is the length of a data block in bytes.
func (s *Superblock) dataBlockBytes() uint64 { return uint64(s.DataBlockSize) * blockdev.SectorBytes }

// parseSuperblock decodes and verifies the superblock, or the copy of it in a metadata snapshot.
// block is the metadata block that p was read from.
func parseSuperblock(p []byte, block uint64) (Superblock, error) {
	s := Superblock{
		Flags: le.Uint32(p[4:]), BlockNr: le.Uint64(p[8:]), UUID: [16]byte(p[16:32]),
		Version: le.Uint32(p[40:]), Time: le.Uint32(p[44:]), TransactionID: le.Uint64(p[48:]), HeldRoot: le.Uint64(p[56:]),
		DataSpaceMapRoot: parseSpaceMapRoot(p[64:]), MetadataSpaceMapRoot: parseSpaceMapRoot(p[192:]),
		DataMappingRoot: le.Uint64(p[320:]), DeviceDetailsRoot: le.Uint64(p[328:]),
		DataBlockSize: le.Uint32(p[336:]), MetadataBlockSize: le.Uint32(p[340:]), MetadataNrBlocks: le.Uint64(p[344:]),
		CompatFlags: le.Uint32(p[352:]), CompatROFlags: le.Uint32(p[356:]), IncompatFlags: le.Uint32(p[360:]),
	}
	if magic := le.Uint64(p[32:]); magic != superblockMagic {
		if isZero(p) {
			return s, ErrZeroed
		}
		return s, fmt.Errorf("%w: magic number %d instead of %d", ErrNotPool, magic, superblockMagic)
	}
	if err := checkSum(p, saltSuperblock); err != nil {
		return s, err
	}
	if s.BlockNr != block {
		return s, fmt.Errorf("%w: block %d says that it is block %d", ErrSuperblock, block, s.BlockNr)
	}
	if s.Version != superblockVersion {
		return s, fmt.Errorf("%w: %d, only %d can be read", ErrVersion, s.Version, superblockVersion)
	}
	if bits := s.IncompatFlags &^ knownIncompatible; bits != 0 {
		return s, fmt.Errorf("%w: %#x", ErrIncompatible, bits)
	}
	return s, s.checkSizes()
}

func (s *Superblock) checkSizes() error {
	if s.MetadataBlockSize*blockdev.SectorBytes != BlockBytes {
		return fmt.Errorf("%w: metadata blocks of %d sectors", ErrSuperblock, s.MetadataBlockSize)
	}
	if b := s.DataBlockSize; b < minBlockSectors || b > maxBlockSectors || b%minBlockSectors != 0 {
		return fmt.Errorf("%w: data blocks of %d sectors", ErrSuperblock, b)
	}
	if n := s.DataSpaceMapRoot.NrBlocks; n > math.MaxInt64/s.dataBlockBytes() {
		return fmt.Errorf("%w: %d data blocks, more than any device can have", ErrSuperblock, n)
	}
	if n := s.MetadataSpaceMapRoot.NrBlocks; n > maxMetadataBlocks {
		return fmt.Errorf("%w: %d metadata blocks, at most %d are possible", ErrSuperblock, n, maxMetadataBlocks)
	}
	return nil
}

func parseSpaceMapRoot(p []byte) SpaceMapRoot {
	return SpaceMapRoot{le.Uint64(p), le.Uint64(p[8:]), le.Uint64(p[16:]), le.Uint64(p[24:])}
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
