// Package pdata reads the metadata of a dm-thin pool: the superblock, the trees
// of devices and mappings, and the space maps.
//
// The format is the kernel's, drivers/md/dm-thin-metadata.c and
// drivers/md/persistent-data. Everything is little-endian, in blocks of 4096
// bytes that each carry a checksum.
//
// Blocks are read when they are asked for: opening a pool reads one, finding a
// mapping those on the way to it. Each is checked when it is read: its checksum,
// that it lies where it says it lies, its shape, and that its keys are in order
// and in the range that its parent gives it. What fails is a [DamageError] for
// that range of keys, and for nothing else.
package pdata
