package layout

import "thintree/volfs"

// NodeID is a node of the tree: of a layout, or a file in a volume. It is valid as long as
// the tree lives, but not in another one: a path finds it again.
//
// A file's id is computed from where it lies:
//
//	bit 63      1
//	bit 62      0
//	bits 32–61  the slot of its filesystem
//	bits 0–31   its inode number, 0 for the root of the filesystem; the
//	            highest ones are its image, the folder of its partitions'
//	            images, and its info
//
// The id of a file whose inode number is too high for that:
//
//	bits 62–63  1
//	bits 40–61  the wide slot of its filesystem, which only those with such
//	            files are given
//	bits 0–39   its inode number
//
// Any other node's id is its inode number: see inode.go.
type NodeID uint64

// RootID is the root of the tree.
const RootID NodeID = 1

const (
	fileBit = 1 << 63
	wideBit = 1 << 62

	slotShift, wideShift = 32, 40

	maxWideSlots = 1 << (62 - wideShift)
)

// What is shown of a volume beside its files has the inode numbers above MaxIno, which are
// the highest ones in a number of fewer bits.
const (
	RawIno   = 1<<64 - 1 - iota // raw/<name>.img
	PartsIno                    // raw/<name>.parts
	InfoIno                     // info/<name>.json
	MaxIno
)

// besides is how many of them there are.
const besides = RawIno - MaxIno

// IsFile reports whether the node is in a volume, or shown of one.
func (id NodeID) IsFile() bool { return id&fileBit != 0 }

func (id NodeID) isWide() bool { return id&wideBit != 0 }

// Ino is the inode number in the filesystem, 0 for its root, or one above MaxIno. It is of
// no meaning if the node is no file.
func (id NodeID) Ino() volfs.Ino {
	if id.isWide() {
		return volfs.Ino(id & (1<<wideShift - 1))
	}
	ino := uint32(id)
	if ino >= 1<<slotShift-besides {
		return volfs.Ino(int32(ino)) // with its sign, which makes it one of the highest
	}
	return volfs.Ino(ino)
}
