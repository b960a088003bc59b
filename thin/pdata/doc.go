// Package pdata reads the metadata of a dm-thin pool as they lie on their device:
// the superblock, the btrees that map virtual blocks to data blocks, and the
// space maps.
//
// Only the blocks on the path to the requested keys are read. No number on the disk is trusted:
// before a block is used, its checksum, its own number and the rules of its kind are verified.
// A range of keys that cannot be read is a [DamageError]; all other keys stay readable. Damage
// never reads as "not mapped".
//
// # Bounds
//
// A pool keeps at most 4 MiB of verified blocks in memory. A walk always ends. It goes at most
// 16 nodes deep, and never into a node that is already on its path. The keys of a node must
// lie within the range that its parent gives it. So a block that several entries lead to is
// valid under one of them at most, and is damage under the others.
//
// # Live pools
//
// The blocks of a committed superblock do not change while it is the current one. If the pool
// is live ([Options].Live), the superblock is read again after each walk. If it has changed,
// the walk is repeated. The reader that is passed to [Open] must then bypass the page cache.
//
// An equal superblock proves nothing if the last look at it was too long ago. Older kernels
// allocate the lowest free block first, so after two commits all roots can have the same
// numbers with other contents. Hence verified blocks of a live pool are used again only for a
// few milliseconds after a look. A walk that took longer is repeated a few times.
//
// # Source
//
// The format is that of the kernel's drivers/md/dm-thin-metadata.c and
// drivers/md/persistent-data. Structures and fields have the names from there. All numbers are
// little-endian. All metadata blocks are 4096 bytes long.
package pdata
