// Package kernelfs reads filesystems through this host's kernel.
//
// [Open] mounts a filesystem read-only and never attaches the mount. So no mount table
// shows it, nothing can be mounted on it, and it ends with its last open file, also when
// this process is killed. Nothing is written to the device: the options of each filesystem
// prevent it, and the device is opened for reading only.
//
// [OpenLive] reads a filesystem that another process has mounted, through that mount. It
// shows the current state.
//
// Files are opened by inode number, with the handles that the kernel makes for NFS servers
// (open_by_handle_at(2)). So no table of known files is needed. The forms of handles are in
// handle.go. Callers must not ask for a number that no file has had. f2fs takes such a
// number for damage, and records that if it can write. In vfat a number is a position on
// the disk, and something else may be there.
//
// Some filesystems have no handles (HFS, HFS+, minix, cramfs, romfs, exFAT). Others need
// more than the number: in ISO 9660 a handle has the exact position of the file's entry, in
// ReiserFS the folder that the file was made in, in OCFS2, GFS2 and NTFS a generation that
// the kernel does not show. For these, places.go remembers the folder and name of each
// inode: about a hundred bytes for each, until the filesystem is closed. That would be too
// much for large servers, but these are discs, sticks and firmware, or rare.
//
// It needs root, as mounting does. A system call that waits for the disk cannot be
// interrupted, so contexts are checked before each call.
package kernelfs
