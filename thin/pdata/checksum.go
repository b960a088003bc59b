package pdata

import (
	"fmt"
	"hash/crc32"
)

// The salts that the checksums of the kinds of blocks are made with.
const (
	saltSuperblock = 160774
	saltNode       = 121107
	saltBitmap     = 240779
	saltIndex      = 160478
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of a block: dm_bm_checksum, CRC-32C without the last
// inversion over all but the field that it is stored in.
func sum(p []byte, salt uint32) uint32 { return ^crc32.Checksum(p[4:], castagnoli) ^ salt }

func checkSum(p []byte, salt uint32) error {
	if stored, want := le.Uint32(p), sum(p, salt); stored != want {
		return fmt.Errorf("%w: %#08x instead of %#08x", ErrChecksum, stored, want)
	}
	return nil
}
