package probe

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32Raw continues a CRC-32 (IEEE, reflected) from a start value, without the inversions
// before and after.
func crc32Raw(start uint32, parts ...[]byte) uint32 {
	crc := ^start
	for _, b := range parts {
		crc = crc32.Update(crc, crc32.IEEETable, b)
	}
	return ^crc
}

// crc32c is CRC-32C with the inversions, over several parts.
func crc32c(parts ...[]byte) uint32 {
	var crc uint32
	for _, b := range parts {
		crc = crc32.Update(crc, castagnoli, b)
	}
	return crc
}

// crc64WE is CRC-64 (ECMA-182, not reflected) with the inversions, as bcache's
// superblock has it.
func crc64WE(b []byte) uint64 {
	crc := ^uint64(0)
	for _, c := range b {
		crc ^= uint64(c) << 56
		for range 8 {
			carry := crc >> 63
			crc = crc<<1 ^ carry*0x42f0e1eba9ea3693
		}
	}
	return ^crc
}

// without returns b in parts, with n bytes at off as zeros.
func without(b []byte, off, n int) [][]byte {
	return [][]byte{b[:off], make([]byte, n), b[off+n:]}
}
