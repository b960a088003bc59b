package kernelfs

import (
	"bytes"
	"context"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// direntBytes is how much of a folder is read at once.
const direntBytes = 32 << 10

// ReadDir lists a folder. Cookies are the kernel's own positions in it.
func (f *FS) ReadDir(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	return f.list(ctx, dir, cookie, func(_ int, e volfs.DirEntry) bool { return emit(e) })
}

// ReadDirAttrs lists a folder with attributes.
func (f *FS) ReadDirAttrs(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry, *volfs.Attr) bool) error {
	byName := f.numbering(dir) == nil || f.places != nil
	return f.list(ctx, dir, cookie, func(fd int, e volfs.DirEntry) bool {
		if byName && e.Name != "." && e.Name != ".." {
			// Another inode's are another file's, which has come in its place.
			if a, err := statx(fd, e.Name); err == nil && (a.Ino == e.Ino || f.makesNumbers()) {
				a.Ino = e.Ino
				return emit(e, &a)
			}
		}
		return emit(e, nil)
	})
}

// list lists a folder, which emit gets open.
func (f *FS) list(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(fd int, e volfs.DirEntry) bool) error {
	fd, err := f.open(ctx, dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if cookie != 0 {
		if _, err := unix.Seek(fd, int64(cookie), unix.SEEK_SET); err != nil {
			return err
		}
	}
	number := f.numbering(dir)
	return readDir(ctx, fd, func(e volfs.DirEntry) bool {
		if number != nil {
			e.Ino = number(fd, e)
		}
		return emit(fd, e)
	})
}

// numbering gives an entry of a folder its inode number, where that is not the one in
// the folder. What cannot be looked up keeps that one.
func (f *FS) numbering(dir volfs.Ino) func(fd int, e volfs.DirEntry) volfs.Ino {
	switch {
	case f.info.Type == "vfat":
		// Those in a folder hold only as long as the file is in memory.
		return func(fd int, e volfs.DirEntry) volfs.Ino {
			if a, err := statx(fd, e.Name); err == nil {
				return a.Ino
			}
			return e.Ino
		}
	case f.places != nil:
		return func(fd int, e volfs.DirEntry) volfs.Ino { return f.places.listed(fd, dir, e) }
	case f.subvolumes != nil && f.subvolumes.several():
		return func(fd int, e volfs.DirEntry) volfs.Ino {
			if e.Type != unix.S_IFDIR {
				return beside(dir, e.Ino)
			}
			if ino, err := f.subvolumes.named(fd, e.Name); err == nil {
				return ino
			}
			return e.Ino
		}
	}
	return nil
}

// readDir lists a folder from the descriptor's position on.
func readDir(ctx context.Context, fd int, emit func(volfs.DirEntry) bool) error {
	for buf := make([]byte, direntBytes); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		for b := buf[:n]; len(b) > 0; {
			var e volfs.DirEntry
			if e, b = dirent(b); !emit(e) {
				return nil
			}
		}
	}
}

// dirent reads one struct linux_dirent64.
func dirent(b []byte) (e volfs.DirEntry, rest []byte) {
	const nameAt = 19
	length := binary.NativeEndian.Uint16(b[16:])
	name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
	return volfs.DirEntry{
		Name:   string(name),
		Ino:    volfs.Ino(binary.NativeEndian.Uint64(b)),
		Type:   uint32(b[18]) << 12, // DT_ values are those of S_IFMT, shifted
		Cookie: binary.NativeEndian.Uint64(b[8:]),
	}, b[length:]
}
