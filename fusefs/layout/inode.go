package layout

import (
	"crypto/sha256"
	"encoding/binary"

	"thintree/volfs"
)

// address is what a filesystem adds to inode numbers: it is the same in every mount of the
// same sources. With an inode number on the disk it makes the one that the tree shows.
type address struct {
	// volume is the device id × the number of sources + the rank of the volume's source in
	// the order of their names: with one source the device id itself.
	volume uint64
	// layer tells volumes of one device id in one source apart. It is 0, unless the
	// source has several pools, or several names for the device.
	layer uint8
	part  int // the partition's number, 0 for the whole volume, or unnumbered
}

// unnumbered is the part of places whose files have no inode numbers.
const unnumbered = 1 << 30

// maxVolume is the highest address.volume whose files have inode numbers: 64 sources can
// have any device ids.
const maxVolume = 1<<30 - 1

// class is a range of inode numbers, in which the bits of a number are, from the lowest
// on, the file's inode number on the disk, its address's volume, partition and layer.
type class struct {
	first                    uint64
	layer, part, volume, ino int // how many bits each
}

// classes are those of files. A file's class is the first one that has enough bits. Classes
// do not overlap, so no two files have one number.
//
// Numbers below 2^53 are exact in a double; those are for what there is in practice. A file
// that needs more gets a number above 2^53, or above 2^63, rather than an error.
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

// What lies in no volume has the numbers from firstView to 2^53.
const (
	firstView = 0b111111 << viewBits
	viewBits  = 47
)

// number is the inode number in the tree of one on the disk, 0 being the root of the
// filesystem. It is not ok if no class has it.
func (p address) number(ino volfs.Ino) (n uint64, ok bool) {
	for i := range classes {
		if n, ok := classes[i].number(p, ino); ok {
			return n, true
		}
	}
	return 0, false
}

func (c *class) number(p address, ino volfs.Ino) (n uint64, ok bool) {
	if p.layer>>c.layer != 0 || p.part>>c.part != 0 || p.volume>>c.volume != 0 {
		return 0, false
	}
	if ino <= MaxIno && ino >= 1<<c.ino-besides {
		return 0, false
	}
	n = uint64(p.layer)<<c.part | uint64(p.part)
	n = n<<c.volume | p.volume
	n = c.first | n<<c.ino | uint64(ino)&(1<<c.ino-1)
	// Device 0 is in another class: 0 is no inode number, and RootID is taken.
	return n, n >= 1<<32
}

// viewID is the node id, and the inode number, that a node in no volume gets from the hash
// of its path, unless another node has it.
func viewID(hash uint64) NodeID { return NodeID(firstView | hash&(1<<viewBits-1)) }

// hashOf hashes a path or a name.
func hashOf(text string) uint64 {
	h := sha256.Sum256([]byte(text))
	return binary.LittleEndian.Uint64(h[:])
}
