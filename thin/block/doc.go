// Package block opens files and block devices for reading: the halves of a pool, and parts of
// a disk.
//
// It is a leaf: it does not interpret the bytes. It only recognises disk images that are not
// raw, to refuse them ([CheckRaw]).
//
// No bytes are made up. If a file has become shorter, or a [Section] is longer than what it
// lies in, the missing bytes are [io.ErrUnexpectedEOF]. They count as data, never as a hole.
//
// The sources are open(2), lseek(2), statx(2) and the kernel's Documentation/ABI (sysfs-block,
// sysfs-block-loop).
package block
