// Package ext4 reads ext2, ext3 and ext4 filesystems.
//
// It shows what the Linux kernel shows of a volume that is mounted with the
// options ro and noload: the journal is not replayed. It trusts nothing on the disk.
// Checksums are verified if the filesystem has them, and what cannot be right is a
// [volfs.DamageError].
//
// The kernel refuses to mount some damaged filesystems. This package refuses only the
// files that are damaged. The kernel leaves some unreadable entries out of listings
// without an error. This package lists what it can read, and then returns an error.
//
// Group descriptors are checked when a filesystem is opened, and [volfs.Info] says which
// are damaged. As in a read-only mount by the kernel, a descriptor is used even if its
// checksum fails. If it points outside of the filesystem, or to blocks that another one
// claims, the inodes of its own group cannot be read.
//
// The format is that of the kernel's Documentation/filesystems/ext4 and of
// fs/ext4 in its source; names of structures and fields are the names there.
package ext4
