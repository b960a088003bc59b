package kernelfs

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// openFolder finds a folder of a vfat filesystem and opens it. The kernel opens a folder by
// handle only while it has the folder and its path in memory. A stat by path loads
// them.
func openFolder(ctx context.Context, root *os.File, ino volfs.Ino, flags int) (int, error) {
	// Not root itself: all callers share its position in the listing.
	dir, err := unix.Openat(int(root.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	return folderSearch{ctx: ctx, ino: ino, flags: flags, seen: map[volfs.Ino]bool{}}.in(dir)
}

type folderSearch struct {
	ctx   context.Context
	ino   volfs.Ino
	flags int
	seen  map[volfs.Ino]bool // in a damaged filesystem a folder can be in itself
}

// in searches a folder: ENOENT if the inode is not below it.
func (s folderSearch) in(dir int) (int, error) {
	var names []string
	if err := readDir(s.ctx, dir, func(e volfs.DirEntry) bool {
		if e.Type == unix.S_IFDIR && e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	}); err != nil {
		return -1, err
	}
	for _, name := range names {
		fd, err := s.at(dir, name)
		if err != unix.ENOENT {
			return fd, err
		}
	}
	return -1, unix.ENOENT
}

// at opens a subfolder if it is the one, and searches it otherwise.
func (s folderSearch) at(parent int, name string) (int, error) {
	a, err := statx(parent, name)
	if err != nil || s.seen[a.Ino] {
		return -1, unix.ENOENT
	}
	s.seen[a.Ino] = true
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	if a.Ino == s.ino {
		flags = s.flags
	}
	fd, err := unix.Openat(parent, name, flags|unix.O_CLOEXEC, 0)
	if err != nil || a.Ino == s.ino {
		return fd, err
	}
	defer unix.Close(fd)
	return s.in(fd)
}
