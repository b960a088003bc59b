package ext4

import (
	"context"

	"thintree/volfs"
)

// A hashed folder names inodes in no order, and a server of requests asks for some
// dozens of entries at a time. So a listing is prepared in parts. The first is small, as
// the folder may be, or the lister may soon have enough.
const (
	firstPart    = 512 // entries
	laterPart    = 8192
	listingParts = 4 // that are kept
)

var _ volfs.AttrReader = (*FS)(nil)

// listedPart is a part of a listing that nobody has asked for yet. Nobody changes it.
type listedPart struct {
	entries []volfs.DirEntry
	attrs   []volfs.Attr // of the entries; zero if Stat has to be asked
	end     bool         // the folder ends with it,
	err     error        // with this
}

// partKey tells where a part belongs: after the entry with a cookie.
type partKey struct {
	dir    volfs.Ino
	cookie uint64
}

// ReadDirAttrs is ReadDir with attributes. They are those of the moment when the part
// of the listing was prepared.
func (fs *FS) ReadDirAttrs(ctx context.Context, dir volfs.Ino, cookie uint64, emit func(volfs.DirEntry, *volfs.Attr) bool) error {
	part, prepared := fs.parts.Get(partKey{dir, cookie})
	if prepared {
		fs.parts.Remove(partKey{dir, cookie})
	} else {
		part = fs.preparePart(ctx, dir, cookie, firstPart)
	}
	for {
		for i, e := range part.entries {
			attr := &part.attrs[i]
			if attr.Ino == 0 {
				attr = nil
			}
			if !emit(e, attr) {
				part.entries, part.attrs = part.entries[i:], part.attrs[i:]
				fs.parts.Add(partKey{dir, cookie}, part)
				return nil
			}
			cookie = e.Cookie
		}
		if part.end {
			return part.err
		}
		part = fs.preparePart(ctx, dir, cookie, laterPart)
	}
}

// preparePart lists up to size entries with their attributes.
func (fs *FS) preparePart(ctx context.Context, dir volfs.Ino, cookie uint64, size int) listedPart {
	part := listedPart{end: true}
	part.err = fs.ReadDir(ctx, dir, cookie, func(e volfs.DirEntry) bool {
		if len(part.entries) == size {
			part.end = false
			return false
		}
		part.entries = append(part.entries, e)
		return true
	})
	part.attrs = fs.statAll(ctx, part.entries)
	if err := ctx.Err(); err != nil {
		return listedPart{end: true, err: err}
	}
	return part
}
