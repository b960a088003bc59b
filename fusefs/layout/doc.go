// Package layout arranges the volumes, containers and images of sources as folders and links: the
// part of the tree above the files of volumes. It is pure: it reads nothing, and knows a pool
// only as an interface.
//
// A [Layout] never changes once it is built. [Build] makes the next one from the current one.
// Nodes that are the same in both keep their ids, inode numbers and times. Build returns the
// volumes that are no longer there, so that the tree can close them.
//
// # Node ids and inode numbers
//
// A [NodeID] is computed and not stored: in a volume it is the slot of the filesystem and an
// inode number, elsewhere it is a hash of the path. So the tree need not remember which ids the
// kernel knows, and its memory does not grow with the number of files that are read. Inode
// numbers are computed in the same way, from values that do not change between mounts: see
// inode.go.
package layout
