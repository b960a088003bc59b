package layout

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"thintree/volfs"
)

// address identifies a filesystem in the inode numbers of the tree. It is the same in every mount
// of the same sources. The inode number in the tree is made from an address and the inode number
// on the disk.
type address struct {
	// volume is the device id × the number of sources + the rank of the volume's source. With
	// one source it is the device id itself.
	volume uint64
	// layer distinguishes volumes with one device id in one source. It is 0 unless the source
	// has several pools, or several names for the device.
	layer uint8
	part  int // the partition's number, 0 for the whole volume
	// place is a place that is neither the whole volume nor a partition of it; otherwise it is
	// the zero Place.
	place Place
	// spread is one more than the place's part of the numbers for places, 0 if it has none.
	spread uint64
}

// maxVolume is the highest address.volume for which there are numbers below. It is enough for 64
// sources with any device ids.
const maxVolume = 1<<30 - 1

// class is a range of inode numbers. From the lowest bit on, a number in it consists of the
// file's inode number on the disk, and the volume, part and layer of its address.
type class struct {
	first                    uint64
	layer, part, volume, ino int // how many bits each has
}

// classes are the ranges for files. A file's class is the first one that has enough bits.
// Classes do not overlap, so no two files have the same number.
//
// Numbers below 2^53 are exact in a double. They are for all files that are likely to exist. A
// file that needs more bits gets a number above 2^53, or above 2^63. A file for which no class has
// enough bits has a hash: see hashed.
var classes = []class{
	{first: 0, volume: 20, ino: 32},
	{first: 1 << 52, volume: 24, ino: 27},
	{first: 0b11110 << 48, layer: 8, volume: 10, ino: 30},
	{first: 0b1100 << 49, part: 4, volume: 13, ino: 32},
	{first: 0b1101 << 49, part: 4, volume: 9, ino: 36},
	{first: 0b1110 << 49, volume: 10, ino: 39},
	{first: 0b111110 << 47, volume: 27, ino: 20},

	{first: 1 << 62, volume: 30, ino: 32},
	{first: 1 << 61, part: 4, volume: 25, ino: 32},
	{first: 1 << 60, layer: 8, part: 8, volume: 12, ino: 32},
	{first: 1 << 59, volume: 19, ino: 40},
	{first: 1 << 58, part: 4, volume: 14, ino: 40},

	{first: 1 << 63, layer: 8, part: 8, volume: 30, ino: 17},
}

// The numbers of files at places that are neither a whole volume nor a partition of it. From the
// lowest bit on, a number consists of the file's inode number on the disk and a hash of the place.
const (
	firstSpread = 1 << 56
	spreadBits  = 24
	spreadInos  = 32 // bits
)

// Nodes that belong to no volume have the numbers from firstView up to 2^53.
const (
	firstView = 0b111111 << viewBits
	viewBits  = 47
)

// The numbers that are hashes, from firstHashed on.
const (
	firstHashed = 1 << hashedBits
	hashedBits  = 57
)

// number turns an inode number on the disk, 0 for the root of the filesystem, into the one in the
// tree. isHash says that no class has enough bits for it, so that another file could have the same
// number.
func (p *address) number(ino volfs.Ino) (n uint64, isHash bool) {
	if p.spread > 0 && (ino > MaxIno || ino < 1<<spreadInos-besides) {
		return firstSpread | (p.spread-1)<<spreadInos | uint64(ino)&(1<<spreadInos-1), false
	}
	for i := range classes {
		if n, ok := classes[i].number(p, ino); ok {
			return n, false
		}
	}
	return firstHashed | p.hash(fmt.Sprint("/", ino))&(1<<hashedBits-1), true
}

// hash hashes the address and a text.
func (p *address) hash(text string) uint64 {
	return hashOf(fmt.Sprintf("%d/%d/%d/%s%s", p.volume, p.layer, p.part, p.place.path, text))
}

func (c *class) number(p *address, ino volfs.Ino) (n uint64, ok bool) {
	if !p.place.IsWhole() || p.layer>>c.layer != 0 || p.part>>c.part != 0 || p.volume>>c.volume != 0 {
		return 0, false
	}
	if ino <= MaxIno && ino >= 1<<c.ino-besides {
		return 0, false
	}
	n = uint64(p.layer)<<c.part | uint64(p.part)
	n = n<<c.volume | p.volume
	n = c.first | n<<c.ino | uint64(ino)&(1<<c.ino-1)
	// Device 0 must use another class: 0 is not a valid inode number, and 1 is RootID.
	return n, n >= 1<<32
}

// viewID turns the hash of a path into the node id and inode number of a node that belongs to no
// volume. The node gets another one if that is taken.
func viewID(hash uint64) NodeID { return NodeID(firstView | hash&(1<<viewBits-1)) }

// hashOf hashes a path or a name.
func hashOf(text string) uint64 { return hashBytes([]byte(text)) }

func hashBytes(text []byte) uint64 {
	h := sha256.Sum256(text)
	return binary.LittleEndian.Uint64(h[:])
}
