package volfs

import "context"

// Volume is the bytes that a filesystem lies in. Its methods may be called
// concurrently. All offsets and lengths are in bytes.
type Volume interface {
	// ReadAt reads as io.ReaderAt does. The context ends a read that waits.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)

	// Size is the exact length of the volume in bytes.
	Size() int64

	// NextData is the lowest offset ≥ off, in bytes, that holds data, and
	// NextHole the lowest one ≥ off that lies in a hole, where the end of the
	// volume counts as a hole: lseek(2)'s SEEK_DATA and SEEK_HOLE. NextData
	// returns io.EOF where no data follows, both do for off ≥ Size.
	NextData(ctx context.Context, off int64) (int64, error)
	NextHole(ctx context.Context, off int64) (int64, error)
}

// Ino is an inode number, as the filesystem numbers it.
type Ino uint64

// FS is one filesystem, read only. All methods may be called concurrently; none
// may be called after Close. A context ends what can wait or is long; a call
// that it ended returns its error.
type FS interface {
	// Root is the inode number of the root folder.
	Root() Ino

	// Stat tells the attributes of an inode. A number that is not in use is
	// ENOENT.
	Stat(ctx context.Context, ino Ino) (Attr, error)

	// Lookup finds name in a folder: ENOENT where it has no such entry, ENOTDIR
	// where dir is no folder, ENAMETOOLONG. It finds neither "." nor "..".
	Lookup(ctx context.Context, dir Ino, name string) (Ino, error)

	// ReadDir calls emit for each entry of a folder after the one whose Cookie
	// is cookie (0: from the start), "." and ".." included, until emit returns
	// false. The order is the same at every call.
	ReadDir(ctx context.Context, dir Ino, cookie uint64, emit func(DirEntry) bool) error

	// Readlink gives the target of a symbolic link: EINVAL for anything else.
	Readlink(ctx context.Context, ino Ino) (string, error)

	// Open opens a regular file for reading: EISDIR for a folder, EINVAL for
	// what is neither, ENOKEY for an encrypted file.
	Open(ctx context.Context, ino Ino) (File, error)

	// Xattrs lists the names of an inode's extended attributes in full
	// ("user.a", "system.posix_acl_access"), those that only root may see
	// ("trusted.…") among them.
	Xattrs(ctx context.Context, ino Ino) ([]string, error)

	// Xattr gives the value of one: ENODATA where there is none of that name.
	// An ACL is in the form that getxattr(2) returns it in.
	Xattr(ctx context.Context, ino Ino, name string) ([]byte, error)

	// Statfs tells how full the filesystem is, as statfs(2) does.
	Statfs(ctx context.Context) (Statfs, error)

	// Info tells what filesystem this is.
	Info() Info

	// Close frees what the FS holds. The Volume beneath stays open: it is its
	// owner's to close.
	Close() error
}

// AttrReader is an FS that tells the attributes of a folder's entries for less than
// Stat takes for each.
type AttrReader interface {
	// ReadDirAttrs is ReadDir with what Stat tells of each entry, nil where Stat has
	// to be asked.
	ReadDirAttrs(ctx context.Context, dir Ino, cookie uint64, emit func(DirEntry, *Attr) bool) error
}

// File is an open regular file. Its methods may be called concurrently, until
// Close. Offsets are in bytes. Holes and unwritten extents read as zeros.
type File interface {
	// ReadAt reads as io.ReaderAt does. The context ends a read that waits.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)

	// NextData and NextHole are lseek(2)'s SEEK_DATA and SEEK_HOLE, as in Volume.
	NextData(ctx context.Context, off int64) (int64, error)
	NextHole(ctx context.Context, off int64) (int64, error)

	Close() error
}

// DirEntry is one entry of a folder.
type DirEntry struct {
	Name string
	Ino  Ino
	// Type holds the S_IFMT bits of the mode where the folder records them,
	// otherwise 0.
	Type uint32
	// Cookie resumes a listing after this entry. It is never 0.
	Cookie uint64
}

// Attr is what stat(2) and statx(2) tell of an inode.
type Attr struct {
	Ino   Ino
	Mode  uint32 // type and permissions, as st_mode
	Nlink uint32
	UID   uint32
	GID   uint32
	// Rdev is the device number of a device file, as makedev(3) and st_rdev have
	// it.
	Rdev uint64
	// Size is in bytes, Blocks in 512-byte sectors, as st_blocks.
	Size   int64
	Blocks uint64
	// BlockSize is the filesystem's block size in bytes, as st_blksize.
	BlockSize uint32

	Atime, Mtime, Ctime Time
	// Btime is the time of creation; zero where the filesystem keeps none.
	Btime Time

	// HasXattrs is false where the inode is known, from its own bytes, to have
	// no extended attribute, so that asking for one can be spared.
	HasXattrs bool

	// Flags are the attributes that statx(2) shows (STATX_ATTR_IMMUTABLE,
	// STATX_ATTR_APPEND, STATX_ATTR_ENCRYPTED, STATX_ATTR_VERITY, …).
	Flags uint64
}

// Time is a moment: Sec seconds and Nsec nanoseconds (0 to 999,999,999) after
// 1970-01-01 UTC.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Statfs is what statfs(2) tells. Blocks are of BlockSize bytes.
type Statfs struct {
	BlockSize   uint32
	Blocks      uint64
	BlocksFree  uint64
	BlocksAvail uint64 // free for who is not root
	Files       uint64
	FilesFree   uint64
	NameLen     uint32 // the longest name, in bytes
}

// Info tells what a filesystem is, for people and for info/.
type Info struct {
	Type  string // "ext4", "xfs", …: as mount(8) calls it
	Label string
	UUID  string // in the form that blkid prints
	// SizeBytes is how much of the volume the filesystem spans.
	SizeBytes int64
	// Dirty says that the journal was not replayed (the filesystem was not
	// cleanly unmounted), so what is shown may be older than its last state.
	Dirty bool
	// Errors says that the filesystem has recorded errors of its own.
	Errors bool
	// Problem is what of it is damaged though it can be read, in words. It is empty if
	// no damage was met when it was opened.
	Problem string
	// Features are its feature flags, as its own tools name them.
	Features []string
}
