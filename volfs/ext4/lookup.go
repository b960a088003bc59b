package ext4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"

	"thintree/volfs"
)

// query is a name that is looked for in a folder.
type query struct {
	// matches reports whether an entry has the name.
	matches func(dirEntry) bool
	// hash returns the hash of the name.
	hash   func(hasher) uint32
	folded bool // other names match too
}

// Lookup finds a name. If it had to search a part of the folder that it could not read,
// its error is not ENOENT.
func (fs *FS) Lookup(ctx context.Context, ino volfs.Ino, name string) (volfs.Ino, error) {
	dir, err := fs.folderInode(ctx, ino)
	if err != nil {
		return 0, err
	}
	if len(name) > maxNameLen {
		return 0, fmt.Errorf("ext4: name of %d bytes in folder %d: %w", len(name), ino, syscall.ENAMETOOLONG)
	}
	var found uint32
	if q := fs.query(dir, name); q != nil {
		if found, err = fs.find(ctx, dir, q); err != nil {
			return 0, err
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("ext4: %q in folder %d: %w", name, ino, syscall.ENOENT)
	}
	if err := fs.checkFound(ctx, dir, found); err != nil {
		return 0, fmt.Errorf("%q in folder %d: %w", name, ino, err)
	}
	return volfs.Ino(found), nil
}

// query returns the query for a name in dir; nil if dir cannot have the name.
func (fs *FS) query(dir *inode, name string) *query {
	switch {
	case name == "" || name == "." || name == "..":
		return nil
	case dir.is(flagEncrypt):
		return nokeyQuery(name)
	case dir.is(flagCasefold) && fs.caseFold != nil:
		return fs.caseFold.query([]byte(name))
	}
	return plainQuery([]byte(name))
}

// plainQuery looks for exactly the bytes of a name.
func plainQuery(name []byte) *query {
	return &query{
		matches: func(e dirEntry) bool { return bytes.Equal(e.name, name) },
		hash:    hashOf(name),
	}
}

func hashOf(name []byte) func(hasher) uint32 {
	return func(h hasher) uint32 {
		major, _ := h.hash(name)
		return major
	}
}

// find returns the inode number of the entry that q looks for, 0 if there is none.
func (fs *FS) find(ctx context.Context, dir *inode, q *query) (uint32, error) {
	if dir.inline != nil {
		return fs.findInlineEntry(dir, q)
	}
	if fs.isIndexed(dir) {
		ino, err := fs.lookupIndexed(ctx, dir, q)
		// The index may have been made with another case folding.
		refold := ino == 0 && err == nil && q.folded && fs.sb.encodingFlags&encodingNoFallback == 0
		if !errors.Is(err, errBadIndex) && !refold {
			return ino, err
		}
	}
	return fs.lookupLinear(ctx, dir, q)
}

func (fs *FS) lookupLinear(ctx context.Context, dir *inode, q *query) (uint32, error) {
	var found uint32
	var lost error
	err := fs.walkDir(ctx, dir, 0, func(logical, physical uint64) bool {
		p, err := fs.dirBlock(ctx, dir, logical, physical, blockDirLeaf)
		if err == nil {
			found, err = fs.searchBlock(dir, p, logical, q)
		}
		if lost == nil {
			lost = err
		}
		return found == 0
	})
	switch {
	case found != 0:
		return found, nil
	case err != nil:
		return 0, err
	}
	return 0, lost
}

// searchBlock looks for q in a block of dir.
func (fs *FS) searchBlock(dir *inode, p []byte, logical uint64, q *query) (uint32, error) {
	var lost error
	return search(fs.dirParser(dir, p, logical, func(err error) {
		if lost == nil {
			lost = err
		}
	}), q, &lost)
}

// search looks for q among the entries that d finds. lost is where d notes damage.
func search(d *dirParser, q *query, lost *error) (uint32, error) {
	for e, ok := d.next(); ok; e, ok = d.next() {
		if q.matches(e) && d.check(e) {
			return e.ino, nil
		}
	}
	// A damaged entry may be the one.
	d.off = 0
	for e, ok := d.next(); ok; e, ok = d.next() {
		d.check(e)
	}
	return 0, *lost
}

// checkFound verifies that an entry of dir names an inode that can be there.
func (fs *FS) checkFound(ctx context.Context, dir *inode, ino uint32) error {
	if ino < fs.sb.firstIno && ino != rootIno {
		return dir.damage("an entry for the reserved inode %d", ino)
	}
	in, err := fs.loadInode(ctx, ino)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return dir.damage("an entry for inode %d, which is not in use", ino)
	case err != nil:
		return err
	case in.is(flagEAInode):
		return dir.damage("an entry for inode %d, which holds an extended attribute", ino)
	case in.fileType() == syscall.S_IFDIR && fs.isAbove(ctx, dir, ino):
		return dir.damage("an entry for folder %d, which it lies in", ino)
	}
	return nil
}

// isAbove reports whether ino is dir or a folder that dir lies in, by the ".." entries. It
// is false if these cannot be read.
func (fs *FS) isAbove(ctx context.Context, dir *inode, ino uint32) bool {
	const maxDepth = 1000
	for range maxDepth {
		if dir.ino == ino {
			return true
		}
		parent, err := fs.parent(ctx, dir)
		if err != nil || parent == dir.ino || ctx.Err() != nil {
			return false
		}
		if dir, err = fs.loadInode(ctx, parent); err != nil || dir.fileType() != syscall.S_IFDIR {
			return false
		}
	}
	return false
}

// parent returns the inode number in a folder's "..".
func (fs *FS) parent(ctx context.Context, dir *inode) (uint32, error) {
	var ino uint32
	if dir.inline != nil {
		ino = dir.inlineParent()
	} else {
		r, err := fs.mapBlock(ctx, dir, 0)
		if err != nil {
			return 0, err
		}
		if !r.hasData() {
			return 0, dir.damage("a hole at block 0 of a folder")
		}
		p, err := fs.dirBlock(ctx, dir, 0, r.physical, blockDirLeaf)
		if err != nil {
			return 0, err
		}
		d := fs.dirParser(dir, p, 0, func(error) {})
		for e, ok := d.next(); ok; e, ok = d.next() {
			if string(e.name) == ".." && d.check(e) {
				ino = e.ino
				break
			}
		}
	}
	if ino == 0 || ino > fs.sb.inodesCount {
		return 0, dir.damage("its .. is inode %d", ino)
	}
	return ino, nil
}
