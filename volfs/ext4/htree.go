package ext4

import (
	"context"
	"encoding/binary"
	"errors"
	"sort"
)

const (
	dxEntrySize  = 8              // of struct dx_entry, and of the dx_countlimit in the first's place
	dxRootInfo   = 24             // the offset of dx_root_info in the first block
	dxRootStart  = dxRootInfo + 8 // of the entries in the first block
	dxNodeStart  = dirHeaderSize  // of the entries in another one
	dxBlockMask  = 1<<28 - 1      // of dx_entry.block
	dxTailSize   = 8              // of struct dx_tail
	htreeDepth   = 2              // of the blocks above the leaves
	htreeLarge   = htreeDepth + 1 // with the feature large_dir
	dxUnusedFlag = 0x1            // of dx_root_info.unused_flags
)

// errBadIndex says that an index cannot be used although all of it could be read. The
// kernel then searches the folder from end to end, and so does this package.
var errBadIndex = errors.New("unusable index")

// dxFrame is a position in a block of an index.
type dxFrame struct {
	entries []byte // dx_entry records; the first one's hash is count and limit
	count   int
	at      int
}

func (f *dxFrame) hash(i int) uint32 { return le32(f.entries[i*dxEntrySize:], 0) }
func (f *dxFrame) block(i int) uint64 {
	return uint64(le32(f.entries[i*dxEntrySize:], 1) & dxBlockMask)
}
func (f *dxFrame) seek(hash uint32) {
	f.at = sort.Search(f.count-1, func(i int) bool { return f.hash(i+1) > hash })
}

// newFrame decodes the entries of a block of an index, which begin at start.
func newFrame(p []byte, start, reserved int) (dxFrame, error) {
	limit := int(binary.LittleEndian.Uint16(p[start:]))
	f := dxFrame{entries: p[start:], count: int(binary.LittleEndian.Uint16(p[start+2:]))}
	if limit != (len(p)-start-reserved)/dxEntrySize || f.count == 0 || f.count > limit {
		return f, errBadIndex
	}
	return f, nil
}

// htree is a search in the index of a folder.
type htree struct {
	fs     *FS
	dir    *inode
	hash   uint32
	frames []dxFrame
}

// openIndex finds the place of a name in the index of a folder.
func (fs *FS) openIndex(ctx context.Context, dir *inode, q *query) (*htree, error) {
	t := &htree{fs: fs, dir: dir}
	root, err := t.block(ctx, 0, blockDxRoot)
	if err != nil {
		return nil, err
	}
	info := root[dxRootInfo:]
	version, infoLength, levels, flags := info[4], info[5], int(info[6]), info[7]
	depth := htreeDepth
	if fs.sb.incompat(incompatLargedir) {
		depth = htreeLarge
	}
	if infoLength != dxRootStart-dxRootInfo || levels >= depth || flags&dxUnusedFlag != 0 || version >= hashUnsigned {
		return nil, errBadIndex // also version 6, siphash: it needs the key of the folder
	}
	t.hash = q.hash(fs.sb.hasher(version))
	f, err := newFrame(root, dxRootStart, fs.dxReserved())
	if err != nil {
		return nil, err
	}
	f.seek(t.hash)
	t.frames = append(t.frames, f)
	for range levels {
		if err := t.descend(ctx); err != nil {
			return nil, err
		}
		t.top().seek(t.hash)
	}
	return t, nil
}

func (fs *FS) dxReserved() int {
	if fs.sb.metadataCsum() {
		return dxTailSize
	}
	return 0
}

func (t *htree) top() *dxFrame { return &t.frames[len(t.frames)-1] }

// leaf returns the block of the folder that the search has reached.
func (t *htree) leaf() uint64 { return t.top().block(t.top().at) }

// descend adds a frame for the block that the top frame is at.
func (t *htree) descend(ctx context.Context) error {
	p, err := t.block(ctx, t.leaf(), blockDxNode)
	if err != nil {
		return err
	}
	f, err := newFrame(p, dxNodeStart, t.fs.dxReserved())
	if err != nil {
		return err
	}
	t.frames = append(t.frames, f)
	return nil
}

// next goes to the next leaf if it can have names of the same hash. Otherwise it is
// false.
func (t *htree) next(ctx context.Context) (bool, error) {
	level := len(t.frames) - 1
	for ; t.frames[level].at+1 >= t.frames[level].count; level-- {
		if level == 0 {
			return false, nil
		}
	}
	f := &t.frames[level]
	f.at++
	if f.hash(f.at)&^1 != t.hash {
		return false, nil
	}
	depth := len(t.frames)
	for t.frames = t.frames[:level+1]; len(t.frames) < depth; {
		if err := t.descend(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// block reads a block of the folder by its number in it.
func (t *htree) block(ctx context.Context, logical uint64, kind blockKind) ([]byte, error) {
	if logical >= t.dir.size>>t.fs.sb.blockBits {
		return nil, t.dir.damage("block %d of a folder of %d bytes", logical, t.dir.size)
	}
	r, err := t.fs.mapBlock(ctx, t.dir, logical)
	if err != nil {
		return nil, err
	}
	if !r.hasData() {
		return nil, t.dir.damage("a hole at block %d of a folder", logical)
	}
	return t.fs.dirBlock(ctx, t.dir, logical, r.physical, kind)
}

// lookupIndexed looks for q by the index of a folder. It returns 0 if there is no such
// entry.
func (fs *FS) lookupIndexed(ctx context.Context, dir *inode, q *query) (uint32, error) {
	t, err := fs.openIndex(ctx, dir, q)
	if err != nil {
		return 0, err
	}
	for range dir.size >> fs.sb.blockBits { // more leaves than blocks are a loop
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		logical := t.leaf()
		p, err := t.block(ctx, logical, blockDirLeaf)
		if err != nil {
			return 0, err
		}
		if ino, err := fs.searchBlock(dir, p, logical, q); ino != 0 || err != nil {
			return ino, err
		}
		more, err := t.next(ctx)
		if err != nil || !more {
			return 0, err
		}
	}
	return 0, dir.damage("a loop in the index of a folder")
}

// checkDxTail verifies the checksum in the dx_tail of a block of an index.
func (fs *FS) checkDxTail(dir *inode, p []byte, key blockKey) error {
	start := dxNodeStart
	if decodeRecLen(binary.LittleEndian.Uint16(p[4:]), fs.sb.blockSize) == 12 {
		start = dxRootStart
		if second := decodeRecLen(binary.LittleEndian.Uint16(p[12+4:]), fs.sb.blockSize); second != len(p)-12 ||
			le32(p[dxRootInfo:], 0) != 0 || p[dxRootInfo+5] != dxRootStart-dxRootInfo {
			return key.damage("no root of an index")
		}
	}
	limit := int(binary.LittleEndian.Uint16(p[start:]))
	count := int(binary.LittleEndian.Uint16(p[start+2:]))
	tail := start + limit*dxEntrySize
	if tail+dxTailSize > len(p) || count > limit {
		return key.damage("%d entries of at most %d in an index", count, limit)
	}
	got := crc32c(dir.csumSeed, p[:start+count*dxEntrySize])
	got = crc32cSkipping(got, p[tail:tail+dxTailSize], 4, 4)
	if want := le32(p[tail:], 1); want != got {
		return key.damage("checksum %#x instead of %#x", want, got)
	}
	return nil
}
