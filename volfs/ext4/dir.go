package ext4

import (
	"context"
	"fmt"

	"thintree/volfs"
)

// ReadDir lists a folder in the order of its blocks. A cookie is the offset in
// bytes after its entry. Damaged entries are left out, and the error at the end says
// so.
func (fs *FS) ReadDir(ctx context.Context, ino volfs.Ino, cookie uint64, emit func(volfs.DirEntry) bool) error {
	dir, err := fs.folderInode(ctx, ino)
	if err != nil {
		return err
	}
	l := &listing{ctx: ctx, fs: fs, dir: dir, after: cookie, emit: emit}
	if dir.inline != nil {
		l.inline()
	} else {
		l.blocks()
	}
	if err := ctx.Err(); err != nil {
		return err // nothing is damaged if the context ended a read
	}
	switch {
	case l.lost != nil:
		fs.lossy.Add(dir.ino, l.lost)
	case cookie == 0 && !l.stopped:
		fs.lossy.Remove(dir.ino) // a read that failed before succeeds now
	}
	if l.stopped {
		return l.err
	}
	// An earlier call may have met damage before this cookie.
	lost, _ := fs.lossy.Get(dir.ino)
	return lost
}

// listing is one call of ReadDir.
type listing struct {
	ctx     context.Context
	fs      *FS
	dir     *inode
	after   uint64 // a cookie
	emit    func(volfs.DirEntry) bool
	lost    error // the first damage that was met
	stopped bool  // before the end
	err     error // why, unless emit returned false
}

func (l *listing) lose(err error) {
	if l.lost == nil {
		l.lost = err
	}
}

// blocks lists a folder that lies in blocks.
func (l *listing) blocks() {
	bits := l.fs.sb.blockBits
	err := l.fs.walkDir(l.ctx, l.dir, l.after>>bits, func(logical, physical uint64) bool {
		p, err := l.fs.dirBlock(l.ctx, l.dir, logical, physical, blockDirLeaf)
		if err != nil {
			l.lose(err)
			return true
		}
		return l.entries(l.fs.dirParser(l.dir, p, logical, l.lose), logical<<bits)
	})
	switch {
	case err != nil && l.ctx.Err() != nil:
		l.stopped, l.err = true, err
	case err != nil:
		l.lose(err)
	}
}

// entries lists the entries that a parser finds. base is the offset of its bytes in the
// folder. It returns false when emit does.
func (l *listing) entries(d *dirParser, base uint64) bool {
	for e, ok := d.next(); ok; e, ok = d.next() {
		cookie := base + uint64(e.end)
		if cookie <= l.after || !d.check(e) {
			continue
		}
		name, err := l.fs.shownName(l.ctx, l.dir, e)
		if err != nil {
			l.lose(err)
			continue
		}
		if !l.emit(volfs.DirEntry{Name: name, Ino: volfs.Ino(e.ino), Type: l.fs.dirType(e.fileType), Cookie: cookie}) {
			l.stopped = true
			return false
		}
	}
	return true
}

// dirParser returns a parser of a block of dir. It passes over hash trees, as these look
// like unused entries.
func (fs *FS) dirParser(dir *inode, p []byte, logical uint64, bad func(error)) *dirParser {
	return &dirParser{fs: fs, p: p, hashInside: hashInside(dir), encrypted: dir.is(flagEncrypt), bad: bad,
		what: func() string { return fmt.Sprintf("block %d of folder %d", logical, dir.ino) }}
}

// hashInside reports whether each entry of a folder is followed by the hash of its name,
// which cannot be computed from an encrypted name.
func hashInside(dir *inode) bool { return dir.is(flagEncrypt) && dir.is(flagCasefold) }

// walkDir calls visit for each block of a folder from the block first on, until
// it returns false. Damage of the block map ends the walk. Holes are passed over in a
// folder that may have some.
func (fs *FS) walkDir(ctx context.Context, dir *inode, first uint64, visit func(logical, physical uint64) bool) error {
	blocks := (dir.size + uint64(fs.sb.blockSize) - 1) >> fs.sb.blockBits
	if blocks == 0 {
		return dir.damage("a folder of no length")
	}
	// No block is in a folder twice, so a folder longer than the volume is damaged.
	// To list it could take for ever.
	limit := min(blocks, uint64(fs.vol.Size())>>fs.sb.blockBits)
	for logical := first; logical < limit; {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := fs.mapBlock(ctx, dir, logical)
		if err != nil {
			return err
		}
		if !r.hasData() {
			if logical == 0 || fs.isIndexed(dir) {
				return dir.damage("a hole at block %d of a folder", logical)
			}
			logical = r.end()
			continue
		}
		for ; logical < min(r.end(), limit); logical++ {
			if !visit(logical, r.physical+logical-r.logical) {
				return nil
			}
		}
	}
	if limit < blocks {
		return dir.damage("a folder of %d blocks, more than the volume has", blocks)
	}
	return nil
}
