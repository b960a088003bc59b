package ext4

import "math/bits"

// Versions of the hash of a name in a hashed folder (dx_root_info.hash_version).
const (
	hashLegacy   = 0
	hashHalfMD4  = 1
	hashTEA      = 2
	hashUnsigned = 3 // added to one of the others: its variant with unsigned char
)

// hashEOF is the hash that stands for the end of a folder; no name has it.
const hashEOF = 0x7fffffff << 1

// hasher computes hashes of names.
type hasher struct {
	version uint8
	seed    [4]uint32
}

// hasher returns the hasher for a version as it is recorded in a folder.
func (sb *superblock) hasher(version uint8) hasher {
	if version <= hashTEA && sb.hashUnsigned {
		version += hashUnsigned
	}
	return hasher{version: version, seed: sb.hashSeed}
}

// hash returns the hash of a name and the minor one.
func (h hasher) hash(name []byte) (major, minor uint32) {
	char := func(c byte) uint32 { return uint32(int32(int8(c))) }
	if h.version >= hashUnsigned {
		char = func(c byte) uint32 { return uint32(c) }
	}
	switch h.version % hashUnsigned {
	case hashLegacy:
		major = legacyHash(name, char)
	case hashHalfMD4:
		buf := h.start()
		for off := 0; off < len(name); off += 32 {
			var in [8]uint32
			hashInput(name[off:], in[:], char)
			halfMD4(&buf, &in)
		}
		major, minor = buf[1], buf[2]
	case hashTEA:
		buf := h.start()
		for off := 0; off < len(name); off += 16 {
			var in [4]uint32
			hashInput(name[off:], in[:], char)
			tea(&buf, &in)
		}
		major, minor = buf[0], buf[1]
	}
	major &^= 1
	if major == hashEOF {
		major -= 2
	}
	return major, minor
}

// start returns the state that hashing begins with.
func (h hasher) start() [4]uint32 {
	if h.seed == [4]uint32{} {
		return [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	}
	return h.seed
}

func legacyHash(name []byte, char func(byte) uint32) uint32 {
	h0, h1 := uint32(0x12a3fe2d), uint32(0x37abe8f9)
	for _, c := range name {
		h := h1 + (h0 ^ char(c)*7152373)
		if h&(1<<31) != 0 {
			h -= 0x7fffffff
		}
		h1, h0 = h0, h
	}
	return h0 << 1
}

// hashInput packs a name into in, four bytes a word, and pads it with its length.
func hashInput(name []byte, in []uint32, char func(byte) uint32) {
	n := uint32(len(name))
	pad := n | n<<8
	pad |= pad << 16
	name = name[:min(len(name), 4*len(in))]
	for i := range in {
		word := pad
		for _, c := range name[min(4*i, len(name)):min(4*i+4, len(name))] {
			word = char(c) + word<<8
		}
		in[i] = word
	}
}

func tea(buf *[4]uint32, in *[4]uint32) {
	const delta = 0x9e3779b9
	b0, b1, sum := buf[0], buf[1], uint32(0)
	for range 16 {
		sum += delta
		b0 += (b1<<4 + in[0]) ^ (b1 + sum) ^ (b1>>5 + in[1])
		b1 += (b0<<4 + in[2]) ^ (b0 + sum) ^ (b0>>5 + in[3])
	}
	buf[0] += b0
	buf[1] += b1
}

// halfMD4 is MD4's transformation (RFC 1320) with half the input in each round.
func halfMD4(buf *[4]uint32, in *[8]uint32) {
	a, b, c, d := buf[0], buf[1], buf[2], buf[3]
	for i, w := range [8]int{0, 1, 2, 3, 4, 5, 6, 7} {
		a = bits.RotateLeft32(a+(d^b&(c^d))+in[w], [4]int{3, 7, 11, 19}[i%4])
		a, b, c, d = d, a, b, c
	}
	for i, w := range [8]int{1, 3, 5, 7, 0, 2, 4, 6} {
		a = bits.RotateLeft32(a+(b&c+(b^c)&d)+in[w]+0x5a827999, [4]int{3, 5, 9, 13}[i%4])
		a, b, c, d = d, a, b, c
	}
	for i, w := range [8]int{3, 7, 2, 6, 1, 5, 0, 4} {
		a = bits.RotateLeft32(a+(b^c^d)+in[w]+0x6ed9eba1, [4]int{3, 9, 11, 15}[i%4])
		a, b, c, d = d, a, b, c
	}
	buf[0] += a
	buf[1] += b
	buf[2] += c
	buf[3] += d
}
