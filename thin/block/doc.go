// Package block opens files and block devices for reading: the halves of a
// pool, and parts of a disk.
//
// It is a leaf: it knows nothing of what lies on them.
package block
