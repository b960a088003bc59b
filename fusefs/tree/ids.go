package tree

import (
	"fmt"
	"syscall"

	"thintree/volfs"
)

// NodeID is a node of the tree: of a view, or a file in a volume. It is valid as
// long as the tree lives, but not in another one: a path finds it again.
//
// A file's id is computed from where it lies:
//
//	bit 63      1
//	bit 62      0
//	bits 32–61  the slot of its volume or partition
//	bits 0–31   its inode number, 0 for the root of the filesystem; the
//	            highest ones are its image, the folder of its partitions'
//	            images, and its info
//
// The id of a file whose inode number is too high for that:
//
//	bits 62–63  1
//	bits 40–61  the wide slot of its volume or partition, which is given out to
//	            those only that have such files
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

// What is shown of a volume beside its files has the inode numbers above maxIno,
// which in a number of fewer bits are the highest ones.
const (
	rawIno   = 1<<64 - 1 - iota // raw/<name>.img
	partsIno                    // raw/<name>.parts
	infoIno                     // info/<name>.json
	maxIno
)

// besides is how many there are of these.
const besides = rawIno - maxIno

func (id NodeID) isFile() bool { return id&fileBit != 0 }
func (id NodeID) isWide() bool { return id&wideBit != 0 }

func (id NodeID) ino() volfs.Ino {
	if id.isWide() {
		return volfs.Ino(id & (1<<wideShift - 1))
	}
	ino := uint32(id)
	if ino >= 1<<slotShift-besides {
		return volfs.Ino(int32(ino)) // with its sign, which makes it one of the highest
	}
	return volfs.Ino(ino)
}

// fileID is the node of an inode in the filesystem at r. Its root has the inode
// number 0 here, so that it has an id before anybody has looked into the volume.
func (r *fsRoot) fileID(ino, root volfs.Ino) (NodeID, error) {
	if ino == root {
		return r.id(0), nil
	}
	if _, ok := r.place.number(ino); !ok || ino >= 1<<wideShift {
		return 0, fmt.Errorf("%s: inode number %d is too high to be shown: %w", r, ino, syscall.EOVERFLOW)
	}
	if ino < 1<<slotShift-besides {
		return r.id(ino), nil
	}
	slot, err := r.slots.widen(r)
	return fileBit | wideBit | NodeID(slot)<<wideShift | NodeID(ino), err
}

// id is the node of the root of the filesystem at r (ino 0), of what else is shown
// of it (rawIno, partsIno, infoIno), or of a file whose inode number is not too high.
func (r *fsRoot) id(ino volfs.Ino) NodeID {
	return fileBit | NodeID(r.slot)<<slotShift | NodeID(uint32(ino))
}
