// Package kernelfs is a filesystem as this host's kernel reads it.
//
// [Open] mounts it read-only and never attaches it: no mount table shows it, nothing
// can be mounted on it or pin it, and it goes with its last open file, also when this
// process is killed. Nothing on the device is written, whatever state it is in: the
// options say so for each filesystem, and the device is opened for reading only.
//
// [OpenLive] shows one that somebody else has mounted, through that mount, as it is at
// each moment.
//
// A file is found by its inode number alone, through the handle that the kernel makes
// for NFS servers (open_by_handle_at(2)), so nothing is kept of the files that
// somebody has looked at. What is known of a filesystem's handles is in handle.go. A
// number that no file ever had is not to be asked for: f2fs takes it for damage, and
// writes that down if it can write, and in vfat, if it is a place on the disk,
// something may be found there.
//
// For some filesystems the kernel makes no handles (HFS, HFS+, minix, cramfs, romfs,
// exFAT), or none that a number is enough for: in ISO 9660 a handle has the exact place
// of the file's entry, in ReiserFS the folder that the file was made in, in OCFS2, GFS2
// and NTFS a generation that nobody tells. Of these it is kept where each inode was seen
// (places.go): about a hundred bytes for each, until the filesystem is closed. That
// would be too much for the large filesystems of servers; these are discs, sticks and
// firmware, or rare.
//
// It takes root, as mounting does. A system call that waits for the disk cannot be
// interrupted: contexts are looked at before each.
package kernelfs
