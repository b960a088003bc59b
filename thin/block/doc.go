// Package block opens files and block devices for reading: the halves of a
// pool, and parts of a disk.
//
// It is a leaf: it knows nothing of what lies on them, but for the formats of
// disk images that are not raw, to say so ([CheckRaw]).
//
// Nothing false is read: what lies beyond the real end of a file that is shorter
// than it was, or than a [Section] of it, is [io.ErrUnexpectedEOF] and counts as
// data, never as a hole.
//
// The sources are open(2), lseek(2), statx(2) and the kernel's
// Documentation/ABI (sysfs-block, sysfs-block-loop).
package block
