package manifest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// dirFS shows a folder of the host as a volfs.FS, with a way to lie.
type dirFS struct {
	volfs.FS // what is not used panics
	root     volfs.Ino
	paths    map[volfs.Ino]string
	lookup   func(ino volfs.Ino, name string, err error) (volfs.Ino, error)
	readDir  func([]volfs.DirEntry) []volfs.DirEntry
	stat     func(path string, a *volfs.Attr)
}

func newDirFS(t *testing.T, root string) *dirFS {
	t.Helper()
	d := &dirFS{
		paths:   map[volfs.Ino]string{},
		lookup:  func(ino volfs.Ino, _ string, err error) (volfs.Ino, error) { return ino, err },
		readDir: func(e []volfs.DirEntry) []volfs.DirEntry { return e },
		stat:    func(string, *volfs.Attr) {},
	}
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		d.paths[volfs.Ino(st.Ino)] = path
		if path == root {
			d.root = volfs.Ino(st.Ino)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *dirFS) Root() volfs.Ino { return d.root }

func (d *dirFS) Stat(_ context.Context, ino volfs.Ino) (volfs.Attr, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, d.paths[ino], unix.AT_SYMLINK_NOFOLLOW, unix.STATX_ALL, &st); err != nil {
		return volfs.Attr{}, err
	}
	a := volfs.Attr{
		Ino: ino, Mode: uint32(st.Mode), Nlink: st.Nlink, UID: st.Uid, GID: st.Gid, Size: int64(st.Size), Blocks: st.Blocks,
		BlockSize: st.Blksize, Rdev: unix.Mkdev(st.Rdev_major, st.Rdev_minor), HasXattrs: true, Flags: st.Attributes,
		Atime: statxTime(st.Atime), Mtime: statxTime(st.Mtime), Ctime: statxTime(st.Ctime), Btime: statxTime(st.Btime),
	}
	d.stat(d.paths[ino], &a)
	return a, nil
}

func (d *dirFS) Lookup(_ context.Context, dir volfs.Ino, name string) (volfs.Ino, error) {
	var st unix.Stat_t
	err := unix.Lstat(d.paths[dir]+"/"+name, &st)
	if name == "." || name == ".." || name == "" {
		err = unix.ENOENT
	}
	return d.lookup(volfs.Ino(st.Ino), name, err)
}

func (d *dirFS) ReadDir(_ context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	fd, err := unix.Open(d.paths[dir], unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	raw, err := getdents(fd, make([]byte, 4096))
	var entries []volfs.DirEntry
	for i, e := range raw {
		entries = append(entries, volfs.DirEntry{Name: e.name, Ino: volfs.Ino(e.ino), Type: e.fileType, Cookie: uint64(i + 1)})
	}
	for _, e := range d.readDir(entries) {
		if e.Cookie > cookie && !emit(e) {
			break
		}
	}
	return err
}

func (d *dirFS) Readlink(_ context.Context, ino volfs.Ino) (string, error) {
	return os.Readlink(d.paths[ino])
}

func (d *dirFS) Open(_ context.Context, ino volfs.Ino) (volfs.File, error) {
	st, err := os.Lstat(d.paths[ino])
	switch {
	case err != nil:
		return nil, err
	case st.IsDir():
		return nil, syscall.EISDIR
	case !st.Mode().IsRegular():
		return nil, syscall.EINVAL
	}
	f, err := os.Open(d.paths[ino])
	return seeker{f}, err
}

func (d *dirFS) Xattrs(_ context.Context, ino volfs.Ino) ([]string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(d.paths[ino], buf)
	if err != nil || n == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00"), nil
}

func (d *dirFS) Xattr(_ context.Context, ino volfs.Ino, name string) ([]byte, error) {
	buf := make([]byte, 4096)
	n, err := unix.Lgetxattr(d.paths[ino], name, buf)
	return buf[:max(n, 0)], err
}

// newTree makes a folder with one of everything that needs no privilege.
func newTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(root+"/folder/in it/empty", 0o750))
	must(os.WriteFile(root+"/folder/file", []byte("content"), 0o640))
	must(os.WriteFile(root+"/folder/new\nline \"quoted\" \xff", nil, 0o600))
	must(os.Link(root+"/folder/file", root+"/hard link"))
	must(os.Symlink("folder/file with space", root+"/link"))
	must(unix.Mkfifo(root+"/fifo", 0o600))
	sparse, err := os.Create(root + "/sparse")
	must(err)
	defer sparse.Close()
	for i := range int64(4) {
		_, err = sparse.WriteAt([]byte("data"), i<<20)
		must(err)
	}
	must(sparse.Truncate(100 << 20))
	for i := range 100 { // names whose order is another when quoted
		must(os.WriteFile(fmt.Sprintf("%s/folder/in it/z%d", root, i), []byte{byte(i)}, 0o644))
		must(os.WriteFile(fmt.Sprintf("%s/folder/in it/\xff%d", root, i), nil, 0o644))
	}
	// An access time later than the others is one that relatime leaves alone.
	for _, path := range newDirFS(t, root).paths {
		ahead := unix.Timespec{Sec: time.Now().Unix() + 3600}
		must(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ahead, {Sec: 1, Nsec: 2}}, unix.AT_SYMLINK_NOFOLLOW))
	}
	return root
}

// find is the entry at a path.
func (m Manifest) find(t *testing.T, path string) *Entry {
	t.Helper()
	i := slices.IndexFunc(m, func(e Entry) bool { return e.Path == path })
	if i < 0 {
		t.Fatalf("no entry %q", path)
	}
	return &m[i]
}
