package ext4

import (
	"context"

	"thintree/volfs"
)

// The entries of a hashed folder are not in the order of their inodes, and a FUSE request
// asks for a few dozen entries at a time. So a listing is prepared in longer parts, whose
// inodes are read in the order in which they lie. The first part is short: the folder may
// be small, or the caller may stop early.
const (
	firstPart    = 512 // entries
	laterPart    = 8192
	listingParts = 4 // how many are kept
)

var _ volfs.AttrReader = (*FS)(nil)

// listedPart is a part of a listing that was prepared and not asked for yet. It does not
// change.
type listedPart struct {
	entries []volfs.DirEntry
	attrs   []volfs.Attr // of the entries; zero if the caller has to call Stat
	end     bool         // the folder ends with it,
	err     error        // with this
}

// partKey is the position of a part: after the entry with a cookie.
type partKey struct {
	dir    volfs.Ino
	cookie uint64
}

// ReadDirAttrs is ReadDir with attributes. They are as of when the part of the listing was
// prepared.
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
