// Package ext4 reads ext2, ext3 and ext4 filesystems.
//
// It shows what the Linux kernel shows of a volume that is mounted with the
// options ro and noload: the journal is not replayed. Nothing is trusted:
// checksums are verified where the filesystem has them, and what does not hold
// is a [volfs.DamageError].
//
// Where a filesystem is damaged, the kernel at times refuses the whole mount,
// where this package refuses only what the damage touches; and the kernel at
// times leaves out silently what it cannot read, where this package ends with
// an error after it has told what it could read.
//
// Group descriptors are checked when a filesystem is opened, and [volfs.Info] tells of
// those that are damaged. As in the kernel's read-only mount, one whose checksum fails
// is used; one that points to where it cannot, or to what another one claims, costs its
// own group.
//
// The format is that of the kernel's Documentation/filesystems/ext4 and of
// fs/ext4 in its source; names of structures and fields are the names there.
package ext4
