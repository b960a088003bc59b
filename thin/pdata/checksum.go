package pdata

import (
	"fmt"
	"hash/crc32"
)

// The salts of the checksums, one for each kind of block.
const (
	saltSuperblock = 160774
	saltNode       = 121107
	saltBitmap     = 240779
	saltIndex      = 160478
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of a block, as dm_bm_checksum: CRC-32C without the final inversion, of
// all bytes after the checksum's own field.
func sum(p []byte, salt uint32) uint32 { return ^crc32.Checksum(p[4:], castagnoli) ^ salt }

func checkSum(p []byte, salt uint32) error {
	if stored, want := le.Uint32(p), sum(p, salt); stored != want {
		return fmt.Errorf("%w: %#08x instead of %#08x", ErrChecksum, stored, want)
	}
	return nil
}
