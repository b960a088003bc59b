package layout

import "thintree/volfs"

// NodeID is the id of a node of the tree: a node of a layout, or a file in a volume. It is valid
// as long as the tree exists. Another tree may use other ids.
//
// The id of a file in a volume is computed from its filesystem and its inode number:
//
//	bit 63      1
//	bit 62      0
//	bits 32–61  the slot of the filesystem
//	bits 0–31   the inode number, 0 for the root of the filesystem; the
//	            highest ones stand for the image, the folder of the
//	            partitions' images, and the info
//
// If the inode number is too high for that, the id is:
//
//	bits 62–63  1
//	bits 40–61  the wide slot of the filesystem, which only filesystems
//	            with such files have
//	bits 0–39   the inode number
//
// The id of any other node is its inode number: see inode.go.
type NodeID uint64

// RootID is the root of the tree.
const RootID NodeID = 1

const (
	fileBit = 1 << 63
	wideBit = 1 << 62

	slotShift, wideShift = 32, 40

	maxWideSlots = 1 << (62 - wideShift)
)

// The nodes of a volume that are not files in its filesystem have the inode numbers above MaxIno.
// Cut to fewer bits, these are the highest numbers of so many bits.
const (
	RawIno   = 1<<64 - 1 - iota // raw/<name>.img
	PartsIno                    // raw/<name>.parts
	InfoIno                     // info/<name>.json
	MaxIno
)

// besides is how many of these numbers there are.
const besides = RawIno - MaxIno

// IsFile reports whether the node belongs to a volume: a file in it, its image, the folder of its
// partitions' images, or its info.
func (id NodeID) IsFile() bool { return id&fileBit != 0 }

func (id NodeID) isWide() bool { return id&wideBit != 0 }

// Ino is the inode number in the filesystem, 0 for its root, or one above MaxIno. It has no
// meaning if IsFile is false.
func (id NodeID) Ino() volfs.Ino {
	if id.isWide() {
		return volfs.Ino(id & (1<<wideShift - 1))
	}
	ino := uint32(id)
	if ino >= 1<<slotShift-besides {
		return volfs.Ino(int32(ino)) // sign-extended to one of the numbers above MaxIno
	}
	return volfs.Ino(ino)
}
