package ext4

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// crc32c continues a checksum as ext4_chksum does: without the inversions at
// the start and the end.
func crc32c(crc uint32, p []byte) uint32 {
	return ^crc32.Update(^crc, castagnoli(), p)
}

// crc32cFew is crc32c for a few bytes. Unlike the other, it leaves p on the stack.
func crc32cFew(crc uint32, p []byte) uint32 {
	t := castagnoli()
	for _, b := range p {
		crc = crc>>8 ^ t[byte(crc)^b]
	}
	return crc
}

func crc32cUint32(crc, v uint32) uint32 {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	return crc32cFew(crc, b[:])
}

func crc32cUint64(crc uint32, v uint64) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return crc32cFew(crc, b[:])
}

// crc32cSkipping is the checksum of p with the n bytes at off taken as zeros.
func crc32cSkipping(crc uint32, p []byte, off, n int) uint32 {
	var zeros [4]byte
	crc = crc32c(crc, p[:off])
	crc = crc32cFew(crc, zeros[:n])
	return crc32c(crc, p[off+n:])
}

var crc16Table = sync.OnceValue(func() *[256]uint16 {
	const polynomial = 0xa001 // x¹⁶ + x¹⁵ + x² + 1, bits reversed
	var t [256]uint16
	for i := range t {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ polynomial
			} else {
				crc >>= 1
			}
		}
		t[i] = crc
	}
	return &t
})

func crc16(crc uint16, p []byte) uint16 {
	t := crc16Table()
	for _, b := range p {
		crc = crc>>8 ^ t[byte(crc)^b]
	}
	return crc
}
