// Package layout lays out what sources name as folders and links: all of the tree that lies
// above the files of volumes. It is pure: it reads nothing, and knows a pool only as an
// interface.
//
// A [Layout] is never changed once it is built. [Build] makes the next one from the one
// before: what is the same keeps its node id, its inode number and its time, and what is not
// there any more is returned, so that the tree can close it.
//
// # Node ids and inode numbers
//
// A [NodeID] is computed, not kept: in a volume it is the slot of its filesystem and an inode
// number, elsewhere a hash of the path. So nothing has to be remembered of what callers know,
// nothing is to be forgotten, and memory does not grow with the files that are walked. Inode
// numbers are computed in the same way, from what does not change between mounts: see
// inode.go.
package layout
