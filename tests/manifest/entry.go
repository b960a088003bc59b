package manifest

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"thintree/volfs"
)

// Options says what to look at. The zero value looks at what the lines show.
type Options struct {
	// More fills [Entry].More.
	More bool

	// SparseAbove, if not 0, is a file size in bytes. The content of larger files
	// covers the data and what lies within 64 KiB of data, not the other
	// holes. Such content begins with "sparse:" and compares only with its like.
	SparseAbove int64
}

// Manifest is the entries of a tree in the order of its walk, the root first.
type Manifest []Entry

// Entry is one file of a tree.
type Entry struct {
	// Path is relative to the root, which is ".".
	Path string

	// Err, where not empty, says what failed. The entry then has only a Path.
	Err string

	Mode         uint32 // as st_mode
	UID, GID     uint32
	Nlink        uint32
	Size         int64  // bytes
	Blocks       uint64 // 512-byte sectors
	Mtime, Ctime volfs.Time
	Rdev         uint64
	Content      string
	Xattrs       string

	More *More // nil where not asked for
}

// More is what the lines have no column for.
type More struct {
	Ino          uint64
	Atime, Btime volfs.Time
	BlockSize    uint32 // bytes

	// Flags are those of comparedFlags.
	Flags uint64

	// Data is where a regular file has data, by SEEK_DATA and SEEK_HOLE:
	// "[0,4096) [8192,8200)".
	Data string

	// Entries are a folder's entries, "." and ".." among them, sorted: the
	// quoted name, the inode number and the type that getdents(2) returns.
	Entries []string
}

// column is one property of an entry as text.
type column struct{ name, value string }

func (e *Entry) columns() []column {
	return []column{
		{"type", strconv.FormatUint(uint64(e.Mode>>12), 8)},
		{"mode", fmt.Sprintf("%04o", e.Mode&0o7777)},
		{"uid", strconv.FormatUint(uint64(e.UID), 10)},
		{"gid", strconv.FormatUint(uint64(e.GID), 10)},
		{"nlink", strconv.FormatUint(uint64(e.Nlink), 10)},
		{"size", strconv.FormatInt(e.Size, 10)},
		{"blocks", strconv.FormatUint(e.Blocks, 10)},
		{"mtime", formatTime(e.Mtime)},
		{"ctime", formatTime(e.Ctime)},
		{"rdev", strconv.FormatUint(e.Rdev, 16)},
		{"content", e.Content},
		{"xattrs", e.Xattrs},
	}
}

func (m *More) columns() []column {
	return []column{
		{"ino", strconv.FormatUint(m.Ino, 10)},
		{"atime", formatTime(m.Atime)},
		{"btime", formatTime(m.Btime)},
		{"block size", strconv.FormatUint(uint64(m.BlockSize), 10)},
		{"flags", fmt.Sprintf("%#x", m.Flags)},
		{"data", m.Data},
	}
}

func formatTime(t volfs.Time) string { return fmt.Sprintf("%d.%09d", t.Sec, t.Nsec) }

// failure is the text of the errno in an error: the same for the kernel and for a reader.
// The kernel reports damage by three numbers, volfs by one.
func failure(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return "!" + err.Error()
	}
	if errno == syscall.EUCLEAN || errno == syscall.EBADMSG {
		errno = syscall.EIO
	}
	return "!" + errno.Error()
}

// direntText is one of More.Entries; fileType is the mode's S_IFMT bits, or 0.
func direntText(name string, ino uint64, fileType uint32) string {
	kind := "?"
	switch fileType {
	case 0:
		kind = "unknown"
	case syscall.S_IFREG:
		kind = "file"
	case syscall.S_IFDIR:
		kind = "folder"
	case syscall.S_IFLNK:
		kind = "link"
	case syscall.S_IFIFO:
		kind = "fifo"
	case syscall.S_IFSOCK:
		kind = "socket"
	case syscall.S_IFCHR:
		kind = "char"
	case syscall.S_IFBLK:
		kind = "block"
	}
	return strconv.Quote(name) + " " + strconv.FormatUint(ino, 10) + " " + kind
}
