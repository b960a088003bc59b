package kernelfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// direntBytes is the length of the buffer for getdents(2).
const direntBytes = 32 << 10

// ReadDir lists a folder. Cookies are the kernel's own positions in it.
func (f *FS) ReadDir(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	l, err := f.openListing(ctx, dir, cookie)
	if err != nil {
		return err
	}
	defer l.close()
	return l.each(ctx, emit)
}

// ReadDirAttrs lists a folder with attributes.
func (f *FS) ReadDirAttrs(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry, *volfs.Attr) bool) error {
	cookie, done := f.ahead.emit(f, dir, cookie, emit)
	if done {
		return nil
	}
	l, err := f.openListing(ctx, dir, cookie)
	if err != nil {
		return err
	}
	count := 1 // a filesystem that can change is not read ahead
	if f.ahead != nil {
		count = maxAhead
	}
	for {
		entries, end, err := f.readPart(ctx, l, nil, count)
		for i := range entries {
			switch {
			case entries[i].to(emit):
				cookie = entries[i].Cookie
				continue
			case f.ahead == nil:
				l.close()
			case end:
				l.close()
				f.ahead.keep(dir, cookie, entries[i:], true)
			default:
				f.ahead.read(f, l, dir, cookie, entries[i:])
			}
			return nil
		}
		if err != nil || end {
			l.close()
			if err == nil {
				f.ahead.ended(f, dir, cookie)
			}
			return err
		}
	}
}

// readPart adds the next entries of an open folder with their attributes to entries, up to
// count in all. end says that none follow. It returns the entries before an error too.
func (f *FS) readPart(ctx context.Context, l *listing, entries []withAttr, count int) (all []withAttr, end bool, err error) {
	had, first := len(entries), l.cookie == 0
	entries = slices.Grow(entries, count-had)
	for len(entries) < count && !end && err == nil {
		var e volfs.DirEntry
		var ok bool
		switch e, ok, err = l.next(ctx); {
		case ok:
			attr, known := f.attrOf(l, e)
			entries = append(entries, withAttr{e, attr, known})
			l.cookie = e.Cookie
		case err == nil:
			end = true
		}
	}
	f.ahead.found(l.dir, entries[had:], first, end)
	return entries, end, err
}

// attrOf returns the attributes of an entry of an open folder. known is false if they
// cannot be read by its name.
func (f *FS) attrOf(l *listing, e volfs.DirEntry) (a volfs.Attr, known bool) {
	if l.number != nil && f.places == nil || e.Name == "." || e.Name == ".." {
		return a, false
	}
	// With another inode number they are of a file that has taken its place.
	a, err := statx(l.fd, e.Name)
	if err != nil || a.Ino != e.Ino && !f.makesNumbers() {
		return volfs.Attr{}, false
	}
	a.Ino = e.Ino
	return a, true
}

// listing is an open folder that is being listed.
type listing struct {
	fd        int
	dir       volfs.Ino
	cookie    uint64                                   // of the entry before the next one
	number    func(fd int, e volfs.DirEntry) volfs.Ino // of an entry; nil if the listed one is right
	buf, rest []byte                                   // rest is the unread rest of buf
}

// openListing opens a folder to list the entries after a cookie.
func (f *FS) openListing(ctx context.Context, dir volfs.Ino, cookie uint64) (*listing, error) {
	fd, err := f.open(ctx, dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	l := &listing{fd: fd, dir: dir, cookie: cookie, number: f.numbering(dir)}
	if cookie != 0 {
		if _, err := unix.Seek(fd, int64(cookie), unix.SEEK_SET); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *listing) close() { unix.Close(l.fd) }

// each calls emit with each entry, until that is false.
func (l *listing) each(ctx context.Context, emit func(volfs.DirEntry) bool) error {
	for {
		if e, ok, err := l.next(ctx); err != nil || !ok || !emit(e) {
			return err
		}
	}
}

// next returns the next entry. ok is false if there is none.
func (l *listing) next(ctx context.Context) (e volfs.DirEntry, ok bool, err error) {
	for len(l.rest) == 0 {
		if err := ctx.Err(); err != nil {
			return e, false, err
		}
		if l.buf == nil {
			l.buf = make([]byte, direntBytes)
		}
		n, err := unix.Getdents(l.fd, l.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return e, false, err
		}
		l.rest = l.buf[:n]
	}
	e, l.rest = dirent(l.rest)
	if l.number != nil {
		e.Ino = l.number(l.fd, e)
	}
	return e, true, nil
}

// numbering returns a function for the inode numbers of a folder's entries, nil if the
// listed ones are right. It returns unknown for an entry that cannot be looked up: the
// listed number may be another file's.
func (f *FS) numbering(dir volfs.Ino) func(fd int, e volfs.DirEntry) volfs.Ino {
	switch {
	case f.info.Type == "vfat":
		// The listed ones are valid only while the file is in the kernel's memory.
		return func(fd int, e volfs.DirEntry) volfs.Ino {
			if a, err := statx(fd, e.Name); err == nil {
				return a.Ino
			}
			return unknown
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
			return unknown
		}
	}
	return nil
}

// readDir lists a folder from the descriptor's position on.
func readDir(ctx context.Context, fd int, emit func(volfs.DirEntry) bool) error {
	return (&listing{fd: fd}).each(ctx, emit)
}

// dirent reads one struct linux_dirent64.
func dirent(b []byte) (e volfs.DirEntry, rest []byte) {
	const nameAt = 19
	length := binary.NativeEndian.Uint16(b[16:])
	name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
	return volfs.DirEntry{
		Name:   string(name),
		Ino:    volfs.Ino(binary.NativeEndian.Uint64(b)),
		Type:   uint32(b[18]) << 12, // DT_ values are shifted S_IFMT values
		Cookie: binary.NativeEndian.Uint64(b[8:]),
	}, b[length:]
}
