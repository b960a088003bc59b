package manifest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// comparedFlags are the statx attributes that lie in an inode. The others are
// of the mount (STATX_ATTR_MOUNT_ROOT, …), not of the file.
const comparedFlags = unix.STATX_ATTR_COMPRESSED | unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND |
	unix.STATX_ATTR_NODUMP | unix.STATX_ATTR_ENCRYPTED | unix.STATX_ATTR_VERITY

// OfDir takes the manifest of the tree at root. It goes down by file
// descriptor, so paths may be longer than PATH_MAX, and it needs /proc. What
// cannot be read is told in the manifest; the error is that of root itself.
//
// SEEK_DATA counts what a read brought into the page cache as data even in an
// unwritten extent, so with More the mount should be fresh.
func OfDir(ctx context.Context, root string, o Options) (Manifest, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("manifest: %s: %w", root, err)
	}
	defer unix.Close(fd)
	w := dirWalk{o: o, contents: map[uint64]string{}, buf: make([]byte, 64<<10)}
	w.visit(ctx, fd, ".", ".")
	return w.m, nil
}

// dirWalk is a walk in progress.
type dirWalk struct {
	o        Options
	m        Manifest
	contents map[uint64]string // of inodes with several names
	buf      []byte            // of XATTR_LIST_MAX and XATTR_SIZE_MAX
}

// visit adds the file called name in the folder fd, and what is beneath it.
func (w *dirWalk) visit(ctx context.Context, fd int, name, path string) {
	var st unix.Statx_t
	if err := unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_ALL, &st); err != nil {
		w.m = append(w.m, Entry{Path: path, Err: failure(err)})
		return
	}
	e := Entry{
		Path: path, Mode: uint32(st.Mode), UID: st.Uid, GID: st.Gid, Nlink: st.Nlink,
		Size: int64(st.Size), Blocks: st.Blocks, Mtime: statxTime(st.Mtime), Ctime: statxTime(st.Ctime),
		Rdev: unix.Mkdev(st.Rdev_major, st.Rdev_minor), Content: "-", Xattrs: w.xattrs(fd, name),
	}
	if w.o.More {
		e.More = &More{
			Ino: st.Ino, Atime: statxTime(st.Atime), Btime: statxTime(st.Btime),
			BlockSize: st.Blksize, Flags: st.Attributes & comparedFlags,
		}
	}
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		w.file(ctx, fd, name, st.Ino, &e)
	case unix.S_IFLNK:
		e.Content = dirLink(fd, name)
	case unix.S_IFDIR:
		w.folder(ctx, fd, name, e)
		return
	}
	w.m = append(w.m, e)
}

func (w *dirWalk) file(ctx context.Context, fd int, name string, ino uint64, e *Entry) {
	f, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		e.Content = failure(err)
		if w.o.More {
			e.More.Data = e.Content
		}
		return
	}
	file := seeker{os.NewFile(uintptr(f), name)}
	defer file.Close()
	if w.o.More {
		extents, err := dataMap(ctx, file, e.Size) // before the first read: see OfDir
		if e.More.Data = formatExtents(extents); err != nil {
			e.More.Data = failure(err)
		}
	}
	known := false
	if e.Content, known = w.contents[ino]; known {
		return
	}
	if e.Content, err = content(ctx, file, e.Size, w.o); err != nil {
		e.Content = failure(err)
	}
	if e.Nlink > 1 {
		w.contents[ino] = e.Content
	}
}

func (w *dirWalk) folder(ctx context.Context, fd int, name string, e Entry) {
	var entries []dirent
	dir, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(dir)
		entries, err = getdents(dir, w.buf)
	}
	slices.SortFunc(entries, func(a, b dirent) int { return cmp.Compare(a.name, b.name) })
	if w.o.More {
		for _, d := range entries {
			e.More.Entries = append(e.More.Entries, direntText(d.name, d.ino, d.fileType))
		}
		slices.Sort(e.More.Entries)
	}
	w.m = append(w.m, e)
	if err != nil {
		w.m = append(w.m, Entry{Path: e.Path, Err: failure(err)})
	}
	for _, d := range entries {
		if d.name != "." && d.name != ".." {
			w.visit(ctx, dir, d.name, join(e.Path, d.name))
		}
	}
}

// join is path.Join without its cleaning.
func join(folder, name string) string {
	if folder == "." {
		return name
	}
	return folder + "/" + name
}

// seeker is an open file of the kernel's.
type seeker struct{ *os.File }

// ReadAt hides that of the file, which has no context.
func (f seeker) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.File.ReadAt(p, off)
}

func (f seeker) NextData(_ context.Context, off int64) (int64, error) {
	return f.seek(off, unix.SEEK_DATA)
}
func (f seeker) NextHole(_ context.Context, off int64) (int64, error) {
	return f.seek(off, unix.SEEK_HOLE)
}

func (f seeker) seek(off int64, whence int) (int64, error) {
	n, err := unix.Seek(int(f.Fd()), off, whence)
	if err == unix.ENXIO {
		return 0, io.EOF
	}
	return n, err
}

type dirent struct {
	name     string
	ino      uint64
	fileType uint32 // S_IFMT bits, or 0
}

// getdents reads a folder with getdents64(2), whose records os.ReadDir hides.
func getdents(fd int, buf []byte) ([]dirent, error) {
	const nameAt = 19 // after d_ino, d_off, d_reclen and d_type
	var entries []dirent
	for {
		n, err := unix.Getdents(fd, buf)
		if n <= 0 || err != nil {
			return entries, err
		}
		for b := buf[:n]; len(b) > nameAt; {
			length := binary.NativeEndian.Uint16(b[16:])
			name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
			entries = append(entries, dirent{string(name), binary.NativeEndian.Uint64(b), uint32(b[18]) << 12})
			b = b[length:]
		}
	}
}

func dirLink(fd int, name string) string {
	buf := make([]byte, unix.PathMax+1)
	n, err := unix.Readlinkat(fd, name, buf)
	if err != nil {
		return failure(err)
	}
	return strconv.Quote(string(buf[:n]))
}

// xattrs is the xattrs column. The calls take no folder's descriptor, so the
// path goes through /proc, and is short.
func (w *dirWalk) xattrs(fd int, name string) string {
	path := fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
	n, err := unix.Llistxattr(path, w.buf)
	if err == unix.EOPNOTSUPP || err == nil && n == 0 {
		return "-"
	}
	if err != nil {
		return failure(err)
	}
	var out []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(w.buf[:n]), "\x00"), "\x00") {
		n, err := unix.Lgetxattr(path, name, w.buf)
		out = append(out, xattrText(name, w.buf[:max(n, 0)], err))
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

func xattrText(name string, value []byte, err error) string {
	if err != nil {
		return name + "=" + failure(err)
	}
	return name + "=" + hex.EncodeToString(value)
}

func statxTime(t unix.StatxTimestamp) volfs.Time { return volfs.Time{Sec: t.Sec, Nsec: t.Nsec} }

// StatfsOfDir is statfs(2) of the filesystem that path lies in.
func StatfsOfDir(path string) (volfs.Statfs, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return volfs.Statfs{}, fmt.Errorf("manifest: statfs %s: %w", path, err)
	}
	return volfs.Statfs{
		BlockSize: uint32(st.Bsize), Blocks: st.Blocks, BlocksFree: st.Bfree, BlocksAvail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree, NameLen: uint32(st.Namelen),
	}, nil
}
