package tree

import (
	"crypto/sha256"
	"encoding/binary"
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
//	bits 32–62  the slot of its volume or partition
//	bits 0–31   its inode number, 0 for the root of the filesystem; the
//	            highest ones are its image, the folder of its partitions'
//	            images, and its info
//
// Any other node's id is a hash of its path, with bit 63 clear.
type NodeID uint64

// RootID is the root of the tree.
const RootID NodeID = 1

const fileBit = 1 << 63

// What is shown of a volume beside its files has the inode numbers above maxIno.
const (
	rawIno   = 1<<32 - 1 - iota // raw/<name>.img
	partsIno                    // raw/<name>.parts
	infoIno                     // info/<name>.json
	maxIno
)

func (id NodeID) isFile() bool   { return id&fileBit != 0 }
func (id NodeID) slot() uint32   { return uint32(id >> 32 &^ (1 << 31)) }
func (id NodeID) ino() volfs.Ino { return volfs.Ino(id & (1<<32 - 1)) }

// fileID is the node of an inode in the filesystem at r. Its root has the inode
// number 0 here, so that it has an id before anybody has looked into the volume.
func (r *fsRoot) fileID(ino, root volfs.Ino) (NodeID, error) {
	if ino == root {
		ino = 0
	}
	if ino > maxIno {
		return 0, fmt.Errorf("%s: inode number %d does not fit 32 bits: %w", r, ino, syscall.EOVERFLOW)
	}
	return fileBit | NodeID(r.slot)<<32 | NodeID(ino), nil
}

// id is the node of the root of the filesystem at r (ino 0), or of what else is
// shown of it (rawIno, partsIno, infoIno).
func (r *fsRoot) id(ino uint32) NodeID { return fileBit | NodeID(r.slot)<<32 | NodeID(ino) }

// inodeNumber is what stat shows of a file: like its id, but with a number of
// the volume that is the same in every mount of the same sources.
func (r *fsRoot) inodeNumber(id NodeID) uint64 {
	return fileBit | uint64(r.number)<<32 | uint64(id.ino())
}

// viewID is the node id and the inode number of a path in the views, and the
// cookie of its entry in the folder's listing.
func viewID(path string) NodeID {
	if path == "" {
		return RootID
	}
	h := sha256.Sum256([]byte(path))
	id := NodeID(binary.LittleEndian.Uint64(h[:])) &^ fileBit
	return max(id, dotDotCookie+1)
}

// hashedNumber is set in the numbers of what has no place among the others.
const hashedNumber = 1 << 30

// volumeNumber is a number of 31 bits for a volume that is the same in every
// mount of the same sources in the same order: its device id, and the pool's
// place among all.
func volumeNumber(poolIndex int, deviceID uint32) uint32 {
	if poolIndex < 63 {
		return uint32(poolIndex)<<24 | deviceID
	}
	return hashedNumberOf(poolIndex, deviceID, "")
}

// hashedNumberOf is the same for what is beside a volume: a partition of it, or
// another volume on the same device. Whether it is taken is for slots to see.
func hashedNumberOf(poolIndex int, deviceID uint32, beside string) uint32 {
	h := sha256.Sum256(fmt.Appendf(nil, "%d\x00%d\x00%s", poolIndex, deviceID, beside))
	return binary.LittleEndian.Uint32(h[:])&(hashedNumber-1) | hashedNumber
}
