package ext4

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
)

const (
	dirHeaderSize = 8  // of struct ext4_dir_entry_2, before the name
	dirTailSize   = 12 // of struct ext4_dir_entry_tail
	dirTailType   = 0xde
	dirHashSize   = 8 // of struct ext4_dir_entry_hash
	maxNameLen    = 255
)

// dirEntry is an ext4_dir_entry_2 in use.
type dirEntry struct {
	ino      uint32
	name     []byte
	fileType uint8
	start    int       // its offset in its block
	end      int       // the offset after it
	hash     [2]uint32 // ext4_dir_entry_hash; zero if the folder has none
}

// isDots reports whether the name is "." or "..".
func (d dirEntry) isDots() bool { return string(d.name) == "." || string(d.name) == ".." }

// dirParser goes through the entries of a block of a folder, or of inline data.
type dirParser struct {
	fs         *FS
	p          []byte
	off        int
	hashInside bool // each entry is followed by its hash
	encrypted  bool // names are any bytes
	what       func() string
	// bad is called for each entry that is damaged.
	bad func(error)
}

// minLen is the length in bytes of an entry with a name of n bytes.
func (d *dirParser) minLen(n int, dots bool) int {
	if d.hashInside && !dots {
		n += dirHashSize
	}
	return (dirHeaderSize + n + 3) &^ 3
}

// next returns the next entry in use, false at the end. It ends after an entry with an
// impossible length. It does not check the rest of an entry.
func (d *dirParser) next() (dirEntry, bool) {
	for d.off < len(d.p) {
		start := d.off
		rest := d.p[start:]
		if len(rest) < dirHeaderSize {
			d.fault(start, "no room for it")
			break
		}
		recLen := decodeRecLen(binary.LittleEndian.Uint16(rest[4:]), d.fs.sb.blockSize)
		nameLen := int(rest[6])
		e := dirEntry{ino: binary.LittleEndian.Uint32(rest), fileType: rest[7], start: start, end: start + recLen}
		if recLen%4 != 0 || recLen > len(rest) || recLen < dirHeaderSize+4 {
			d.fault(start, "rec_len %d of %d bytes left", recLen, len(rest))
			break
		}
		if dirHeaderSize+nameLen > recLen {
			d.fault(start, "rec_len %d with a name of %d bytes", recLen, nameLen)
			break
		}
		e.name = rest[dirHeaderSize : dirHeaderSize+nameLen]
		fake := e.isDots() || e.fileType == dirTailType
		if least := d.minLen(nameLen, fake); recLen < least {
			d.fault(start, "rec_len %d, at least %d are needed", recLen, least)
			break
		}
		d.off = e.end
		if e.ino == 0 {
			continue
		}
		if d.hashInside && !fake {
			h := rest[d.minLen(nameLen, true):]
			e.hash = [2]uint32{binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:])}
		}
		return e, true
	}
	d.off = len(d.p)
	return dirEntry{}, false
}

func (d *dirParser) fault(off int, format string, args ...any) {
	d.bad(damage(fmt.Sprintf("entry at byte %d in %s", off, d.what()), format, args...))
}

// check reports whether the content of an entry is possible.
func (d *dirParser) check(e dirEntry) bool {
	switch {
	case e.ino > d.fs.sb.inodesCount:
		d.fault(e.start, "inode %d of %d", e.ino, d.fs.sb.inodesCount)
	case len(e.name) == 0:
		d.fault(e.start, "no name")
	case !d.encrypted && (bytes.IndexByte(e.name, '/') >= 0 || bytes.IndexByte(e.name, 0) >= 0):
		d.fault(e.start, "name %q", e.name)
	default:
		return true
	}
	return false
}

// decodeRecLen returns a rec_len in bytes. With blocks of 64 KiB its lower two bits, which
// lengths do not need, are bits 16 and 17.
func decodeRecLen(v uint16, blockSize int) int {
	switch {
	case blockSize < 64<<10:
		return int(v)
	case v == 0xffff || v == 0:
		return blockSize
	}
	return int(v&^3) | int(v&3)<<16
}

// dirType returns the S_IFMT bits for the file type of an entry, 0 if it has none.
func (fs *FS) dirType(fileType uint8) uint32 {
	types := [...]uint32{1: syscall.S_IFREG, 2: syscall.S_IFDIR, 3: syscall.S_IFCHR, 4: syscall.S_IFBLK,
		5: syscall.S_IFIFO, 6: syscall.S_IFSOCK, 7: syscall.S_IFLNK}
	if !fs.sb.incompat(incompatFiletype) || int(fileType) >= len(types) {
		return 0
	}
	return types[fileType]
}

// dirBlockKind returns the kind of a block of a folder. In a hashed folder the first is
// the root of the index, and a block with only an unused entry of the block's length is
// a node of the index.
func (fs *FS) dirBlockKind(dir *inode, logical uint64, p []byte) blockKind {
	switch {
	case !fs.isIndexed(dir):
		return blockDirLeaf
	case logical == 0:
		return blockDxRoot
	case decodeRecLen(binary.LittleEndian.Uint16(p[4:]), fs.sb.blockSize) == fs.sb.blockSize:
		return blockDxNode
	}
	return blockDirLeaf
}

// isIndexed reports whether a folder has an index of hashes.
func (fs *FS) isIndexed(dir *inode) bool { return dir.is(flagIndex) && fs.sb.compat(compatDirIndex) }

// dirBlock reads a block of a folder, which must be of a kind. blockDirLeaf stands for any
// kind.
func (fs *FS) dirBlock(ctx context.Context, dir *inode, logical, physical uint64, kind blockKind) ([]byte, error) {
	key := blockKey{block: physical, owner: dir.ino, kind: kind}
	if logical == 0 && kind == blockDirLeaf && fs.isIndexed(dir) {
		key.kind = blockDxRoot
	}
	return fs.block(ctx, key, func(p []byte) error {
		looks := fs.dirBlockKind(dir, logical, p)
		if kind != blockDirLeaf && looks == blockDirLeaf {
			return key.damage("not a block of an index")
		}
		if !fs.sb.metadataCsum() {
			return nil
		}
		if looks == blockDirLeaf {
			return checkDirTail(dir, p, key)
		}
		return fs.checkDxTail(dir, p, key)
	})
}

// checkDirTail verifies the checksum in a block's ext4_dir_entry_tail.
func checkDirTail(dir *inode, p []byte, key blockKey) error {
	t := p[len(p)-dirTailSize:]
	if le32(t, 0) != 0 || binary.LittleEndian.Uint16(t[4:]) != dirTailSize || t[6] != 0 || t[7] != dirTailType {
		return key.damage("no checksum at its end")
	}
	if want, got := le32(t, 2), crc32c(dir.csumSeed, p[:len(p)-dirTailSize]); want != got {
		return key.damage("checksum %#x instead of %#x", want, got)
	}
	return nil
}
