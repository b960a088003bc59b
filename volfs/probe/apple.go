package probe

import (
	"crypto/md5"
)

// probeHFS finds HFS (Inside Macintosh: Files, master directory block), but not
// if it only wraps an HFS+.
func probeHFS(p *prober) *Signature {
	mdb := p.at(1024, 162)
	if mdb == nil || string(mdb[:2]) != "BD" || isHFSPlus(mdb[124:]) {
		return nil
	}
	allocSize := be.Uint32(mdb[20:])
	if allocSize == 0 || allocSize%sectorBytes != 0 {
		return nil
	}
	const tail = 1024 // the alternate master directory block and the last sector
	return &Signature{
		Type: "hfs", Label: label(mdb[37 : 37+min(int(mdb[36]), 27)]), UUID: hfsUUID(mdb[116:124]),
		SizeBytes: int64(be.Uint16(mdb[28:]))*sectorBytes + product(uint64(be.Uint16(mdb[18:])), uint64(allocSize)) + tail,
	}
}

func isHFSPlus(sig []byte) bool { return string(sig[:2]) == "H+" || string(sig[:2]) == "HX" }

// probeHFSPlus finds HFS+ and HFSX (Apple's Technical Note TN1150), also within
// an HFS wrapper. Its label is the name of the root folder, which is the first
// record of the catalog's first leaf.
func probeHFSPlus(p *prober) *Signature {
	base := int64(0)
	mdb := p.at(1024, 162)
	if mdb == nil {
		return nil
	}
	if string(mdb[:2]) == "BD" {
		allocSize := be.Uint32(mdb[20:])
		if !isHFSPlus(mdb[124:]) || allocSize == 0 || allocSize%sectorBytes != 0 {
			return nil
		}
		base = int64(be.Uint16(mdb[28:]))*sectorBytes + int64(be.Uint16(mdb[126:]))*int64(allocSize)
	}
	vh := p.at(base+1024, 512)
	if vh == nil || !isHFSPlus(vh) {
		return nil
	}
	blockSize := int64(be.Uint32(vh[40:]))
	if blockSize < 512 || !powerOf2(uint32(blockSize)) {
		return nil
	}
	catalog := vh[288:352]
	root := base + int64(be.Uint32(catalog))*blockSize
	if root > p.v.Size() {
		return nil
	}
	s := &Signature{Type: "hfsplus", UUID: hfsUUID(vh[104:112])}
	if base == 0 {
		s.SizeBytes = product(uint64(be.Uint32(vh[44:])), uint64(blockSize))
	}
	header := p.at(root, 512)
	if header == nil {
		return s
	}
	nodeSize := int64(be.Uint16(header[32:]))
	if nodeSize < 512 {
		return s
	}
	off, ok := hfsExtentOffset(catalog, int64(be.Uint32(header[24:]))*nodeSize, blockSize)
	if !ok {
		return s
	}
	const leaf, parentOfRoot, maxName = 0xff, 1, 255
	node := p.at(base+off, int(nodeSize))
	if node == nil || node[8] != leaf || be.Uint16(node[10:]) == 0 || be.Uint32(node[16:]) != parentOfRoot {
		return s
	}
	if n := 2 * int(be.Uint16(node[20:])); n <= 2*maxName && 22+n <= len(node) {
		s.Label = label16(node[22:22+n], be)
	}
	return s
}

// hfsExtentOffset returns the offset in the volume of byte off of a fork, by the fork's
// eight extents.
func hfsExtentOffset(extents []byte, off, blockSize int64) (int64, bool) {
	for ; len(extents) >= 8; extents = extents[8:] {
		length := int64(be.Uint32(extents[4:])) * blockSize
		if off < length {
			return int64(be.Uint32(extents))*blockSize + off, true
		}
		off -= length
	}
	return 0, false
}

// hfsUUID makes a UUID of the volume's 64-bit id as macOS and blkid do: version 3 in
// Apple's namespace.
func hfsUUID(id []byte) string {
	if isZero(id) {
		return ""
	}
	namespace := []byte{0xb3, 0xe2, 0x0f, 0x39, 0xf2, 0x92, 0x11, 0xd6, 0x97, 0xa4, 0x00, 0x30, 0x65, 0x43, 0xec, 0xac}
	sum := md5.Sum(append(namespace, id...))
	sum[6] = 0x30 | sum[6]&0x0f
	sum[8] = 0x80 | sum[8]&0x3f
	return dashed(sum[:])
}

// probeAPFS finds an APFS container (Apple File System Reference,
// nx_superblock_t) with blocks of 4 KiB.
func probeAPFS(p *prober) *Signature {
	const blockSize = 4096
	sb := p.at(0, blockSize)
	if sb == nil || string(sb[32:36]) != "NXSB" || le.Uint16(sb[24:]) != 1 || le.Uint16(sb[28:]) != 0 || le.Uint16(sb[30:]) != 0 ||
		le.Uint32(sb[36:]) != blockSize || fletcher64(sb[8:]) != le.Uint64(sb) {
		return nil
	}
	return &Signature{Type: "apfs", UUID: dashed(sb[72:88]), SizeBytes: product(le.Uint64(sb[40:]), blockSize)}
}

func fletcher64(b []byte) uint64 {
	const mod = 1<<32 - 1
	var lo, hi uint64
	for ; len(b) >= 4; b = b[4:] {
		lo = (lo + uint64(le.Uint32(b))) % mod
		hi = (hi + lo) % mod
	}
	low := mod - (lo+hi)%mod
	high := mod - (lo+low)%mod
	return high<<32 | low
}
