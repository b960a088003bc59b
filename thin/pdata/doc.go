// Package pdata reads the metadata of a dm-thin pool as they lie on their device:
// the superblock, the btrees that map virtual blocks to data blocks, and the
// space maps.
//
// Nothing is read but the blocks on the way to what is asked for, and no number
// on the disk is trusted: each block is verified, by its checksum, its own
// number, and what its kind allows, before anything in it is used. What cannot be
// read is a [DamageError], which says what range of keys it takes away; all else
// stays readable. Never does damage read as "not mapped".
//
// # Bounds
//
// A pool keeps at most 4 MiB of verified blocks. A walk ends: it goes no deeper
// than 16 nodes, never into a node that it is in, and a node's keys must lie
// within the range that its parent has it for, so that none but a leaf's worth
// of damage can be met twice in one walk.
//
// # Live pools
//
// The blocks that a committed superblock leads to stay as they are for as long as
// it is the current one. Of a pool that is in use ([Options].Live), the superblock
// is read again after each walk, and where it has changed, the walk is done again.
// The reader that is handed to [Open] must then pass the page cache by.
//
// An equal superblock is no proof where much time lies between two looks at it:
// older kernels give the lowest free block first, so after two commits all roots
// can be where they were, with other contents. Hence verified blocks of a live
// pool are used again for only a few milliseconds after a look, and a walk that
// took longer than that is done again, a few times.
//
// # Source
//
// The format is that of the kernel's drivers/md/dm-thin-metadata.c and
// drivers/md/persistent-data; names of structures and fields are the names there.
// All numbers are little-endian, all metadata blocks are 4096 bytes long.
package pdata
