package volfs

import "context"

// Volume is the bytes that a filesystem lies in. Its methods may be called
// concurrently. All offsets and lengths are in bytes.
type Volume interface {
	// ReadAt reads as io.ReaderAt does. The context ends a read that waits.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)

	// Size is the exact length of the volume in bytes.
	Size() int64

	// NextData returns the lowest offset ≥ off that holds data, and NextHole the lowest
	// one ≥ off that is in a hole: lseek(2)'s SEEK_DATA and SEEK_HOLE. The end of the
	// volume counts as a hole. NextData returns io.EOF if no data follow. Both return it
	// if off ≥ Size.
	NextData(ctx context.Context, off int64) (int64, error)
	NextHole(ctx context.Context, off int64) (int64, error)
}

// Ino is an inode number, as the filesystem numbers it. It may have up to 64 bits. The tree
// cannot show the three highest numbers.
type Ino uint64

// FS is one filesystem, read only. All methods may be called concurrently. No method may be
// called after Close. A call that waits or takes long ends when its context does, and returns
// the context's error.
type FS interface {
	// Root is the inode number of the root folder.
	Root() Ino

	// Stat returns the attributes of an inode. The error is ENOENT if no inode has the
	// number.
	Stat(ctx context.Context, ino Ino) (Attr, error)

	// Lookup finds the inode that name leads to in a folder. It finds neither "." nor "..".
	// The error is ENOENT if the folder has no such entry, ENOTDIR if dir is not a folder,
	// and ENAMETOOLONG if the filesystem cannot have such a name.
	Lookup(ctx context.Context, dir Ino, name string) (Ino, error)

	// ReadDir calls emit for each entry of a folder after the one whose Cookie
	// is cookie (0: from the start), "." and ".." included, until emit returns
	// false. The order is the same at every call.
	ReadDir(ctx context.Context, dir Ino, cookie uint64, emit func(DirEntry) bool) error

	// Readlink returns the target of a symbolic link. The error is EINVAL if the inode is
	// not one.
	Readlink(ctx context.Context, ino Ino) (string, error)

	// Open opens a regular file for reading. The error is EISDIR for a folder, EINVAL for
	// other types of files, and ENOKEY for an encrypted file.
	Open(ctx context.Context, ino Ino) (File, error)

	// Xattrs lists the full names of an inode's extended attributes ("user.a",
	// "system.posix_acl_access"), also those that only root may see ("trusted.…").
	Xattrs(ctx context.Context, ino Ino) ([]string, error)

	// Xattr returns the value of an extended attribute, by its full name. An ACL is in the
	// form that getxattr(2) returns it in. The error is ENODATA if the inode has no such
	// attribute.
	Xattr(ctx context.Context, ino Ino, name string) ([]byte, error)

	// Statfs returns how full the filesystem is, as statfs(2) does.
	Statfs(ctx context.Context) (Statfs, error)

	// Info describes the filesystem.
	Info() Info

	// Close frees the memory of the FS and closes its files. It does not close the Volume.
	Close() error
}

// AttrReader is an FS that can list a folder with attributes faster than by a Stat for
// each entry.
type AttrReader interface {
	// ReadDirAttrs is ReadDir with the result of Stat for each entry. The Attr is nil if the
	// caller has to call Stat.
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
	// Type holds the S_IFMT bits of the mode, 0 if the folder does not record them.
	Type uint32
	// Cookie resumes a listing after this entry. It is never 0.
	Cookie uint64
}

// Attr has the fields of stat(2) and statx(2) for an inode.
type Attr struct {
	Ino   Ino
	Mode  uint32 // type and permissions, as st_mode
	Nlink uint32
	UID   uint32
	GID   uint32
	// Rdev is the device number of a device file, in the form of st_rdev.
	Rdev uint64
	// Size is in bytes. Blocks is in 512-byte sectors, as st_blocks.
	Size   int64
	Blocks uint64
	// BlockSize is the filesystem's block size in bytes, as st_blksize.
	BlockSize uint32

	Atime, Mtime, Ctime Time
	// Btime is the time of creation; zero if the filesystem keeps none.
	Btime Time

	// HasXattrs is false if the bytes of the inode show that it has no extended
	// attributes. Callers need not ask for them then.
	HasXattrs bool

	// Flags are the attributes that statx(2) shows (STATX_ATTR_IMMUTABLE,
	// STATX_ATTR_APPEND, STATX_ATTR_ENCRYPTED, STATX_ATTR_VERITY, …).
	Flags uint64
}

// Time is a point in time: Sec seconds and Nsec nanoseconds (0 to 999,999,999) after
// 1970-01-01 UTC.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Statfs has the fields of statfs(2). Blocks are of BlockSize bytes.
type Statfs struct {
	BlockSize   uint32
	Blocks      uint64
	BlocksFree  uint64
	BlocksAvail uint64 // free for users other than root
	Files       uint64
	FilesFree   uint64
	NameLen     uint32 // the longest name, in bytes
}

// Info describes a filesystem, for people and for info/.
type Info struct {
	Type  string // "ext4", "xfs", …: as mount(8) calls it
	Label string
	UUID  string // in the form that blkid prints
	// SizeBytes is the length of the filesystem. The volume may be longer or shorter.
	SizeBytes int64
	// Dirty says that the filesystem was not cleanly unmounted and its journal was not
	// replayed. The FS may show an older state then.
	Dirty bool
	// Errors says that the filesystem has recorded errors of its own.
	Errors bool
	// Problem says in words what is damaged although the rest can be read. It is empty if
	// opening found no damage.
	Problem string
	// Features are its feature flags, as its own tools name them.
	Features []string
}
