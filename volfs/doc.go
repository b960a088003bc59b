// Package volfs is one read-only interface to the filesystems in volumes.
//
// A [Reader] (volfs/ext4, …) opens a [Volume], the bytes of a filesystem, and returns an
// [FS]. It knows neither device-mapper nor FUSE. volfs/probe finds out which filesystem a
// volume holds, and volfs/readers which reader reads it.
//
// # Identity
//
// A file is named by its inode number, [Ino], as it is on the disk. Callers can ask about
// an inode without opening it first, so a server on top of an FS needs no table of the
// files that its clients know.
//
// # Truth
//
// An FS shows, to the byte, what the Linux kernel shows of the same volume when it is
// mounted read-only, or it returns an error. If the journal was not replayed, [Info] says
// so, and the FS shows what the kernel shows without the journal. Damage is a
// [DamageError], never zeros and never an empty folder.
//
// # Errors
//
// Errors wrap the [syscall.Errno] that the kernel would return, so a server finds its
// answer with errors.As. Two errors are about the volume and have types of their own:
// [DamageError] (EIO) and [UnsupportedError] (EOPNOTSUPP).
package volfs
