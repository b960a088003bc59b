// Package volfs is what is inside a volume: a read-only filesystem behind one
// interface, whoever reads it.
//
// A reader (volfs/ext4, …) gets a [Volume], the bytes it lies in, and gives an
// [FS]. It knows neither device-mapper nor FUSE. Which reader to take is what
// volfs/probe tells.
//
// # Identity
//
// A file is its inode number, [Ino], as the filesystem on the disk numbers it.
// Nothing has to be opened, remembered or forgotten to ask about an inode, so a
// server on top of an FS needs no table of the files that its clients know.
//
// # Truth
//
// What an FS answers equals what the Linux kernel shows of the same volume,
// mounted read-only without journal replay, to the byte; or it is an error.
// Damage is a [DamageError], never zeros and never an empty folder.
//
// # Errors
//
// Errors wrap a [syscall.Errno], the one that the kernel would return, so a
// server finds what to answer with errors.As. What is unusual about the volume
// has a type of its own: [DamageError] (EIO), [UnsupportedError] (EOPNOTSUPP).
package volfs
