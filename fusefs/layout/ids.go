package layout

// NodeID is the id of a node of the tree: a node of a layout, or a file in a volume. It is valid
// as long as the tree exists. Another tree may use other ids.
//
// The id of a file in a volume is computed from its filesystem and its inode number:
//
//	bit 63      1
//	bits 32–62  the slot of the filesystem, or of a window in its inode numbers
//	bits 0–31   the inode number, 0 for the root of the filesystem; the
//	            highest ones stand for the image, the folder of the
//	            partitions' images, and the info
//
// Inode numbers that are too high for that lie in windows. A window has the inode numbers with
// the same upper 32 bits. It gets a slot of its own when a file in it is first looked up, and bits
// 0–31 of its files' ids are the lower bits of the inode number.
//
// The id of any other node is its inode number: see inode.go.
type NodeID uint64

// RootID is the root of the tree.
const RootID NodeID = 1

const (
	fileBit = 1 << 63

	slotShift = 32
	maxSlots  = 1 << (63 - slotShift)
)

// The nodes of a volume that are not files in its filesystem have the inode numbers above MaxIno,
// which no file may have. Cut to fewer bits, these are the highest numbers of so many bits.
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

// slot is the number of the slot of a file's id.
func (id NodeID) slot() uint32 { return uint32(id &^ fileBit >> slotShift) }
