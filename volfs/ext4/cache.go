package ext4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	lru "github.com/hashicorp/golang-lru/v2"
)

// The sizes of the caches of one FS, in bytes.
const (
	blockCacheBytes = 512 << 10
	tableCacheBytes = 512 << 10

	lossyFolders = 1024
)

// blockKind is the kind of block that a block was verified as.
type blockKind uint8

const (
	blockDescriptors blockKind = iota
	blockExtent
	blockIndirect
	blockDirLeaf
	blockDxRoot
	blockDxNode
	blockXattr
)

var blockKindNames = [...]string{"group descriptors", "extents", "block map", "folder", "hash index", "hash index",
	"extended attributes"}

// blockKey is a block by its number, and what it was verified as: its checksum is that
// of one owner.
type blockKey struct {
	block uint64
	owner uint32 // an inode, 0 if the kind has no owner
	kind  blockKind
}

func (k blockKey) String() string {
	if k.owner == 0 {
		return fmt.Sprintf("%s block %d", blockKindNames[k.kind], k.block)
	}
	return fmt.Sprintf("%s block %d of inode %d", blockKindNames[k.kind], k.block, k.owner)
}

func (k blockKey) damage(format string, args ...any) error {
	return damage(k.String(), format, args...)
}

func (fs *FS) makeCaches() {
	fs.blocks = newCache[blockKey, []byte](blockCacheBytes / fs.sb.blockSize)
	fs.tables = newCache[int64, []byte](tableCacheBytes / int(fs.chunkSize()))
	fs.parts = newCache[partKey, listedPart](listingParts)
	fs.lossy = newCache[uint32, error](lossyFolders)
}

func newCache[K comparable, V any](entries int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](max(entries, 1))
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return c
}

// block returns a metadata block, which verify has accepted unless it is nil. Callers must
// not write to it.
func (fs *FS) block(ctx context.Context, key blockKey, verify func([]byte) error) ([]byte, error) {
	if p, ok := fs.blocks.Get(key); ok {
		return p, nil
	}
	if key.block >= fs.sb.blocksCount {
		return nil, key.damage("it lies beyond the filesystem's %d blocks", fs.sb.blocksCount)
	}
	p := make([]byte, fs.sb.blockSize)
	if err := fs.readAt(ctx, p, int64(key.block<<fs.sb.blockBits), key); err != nil {
		return nil, err
	}
	if verify != nil {
		if err := verify(p); err != nil {
			return nil, err
		}
	}
	fs.blocks.Add(key, p)
	return p, nil
}

// readAt fills p from the volume at off, in bytes. Its error wraps a syscall.Errno, or is
// that of ctx.
func (fs *FS) readAt(ctx context.Context, p []byte, off int64, what fmt.Stringer) error {
	n, err := fs.vol.ReadAt(ctx, p, off)
	if n == len(p) {
		return nil
	}
	return readError(what, off, err)
}

func readError(what fmt.Stringer, off int64, err error) error {
	var errno syscall.Errno
	switch {
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return damage(what.String(), "at byte %d, beyond the end of the volume", off)
	case errors.As(err, &errno), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ext4: %s: byte %d of the volume: %w", what, off, err)
	}
	return fmt.Errorf("ext4: %s: byte %d of the volume: %w: %w", what, off, syscall.EIO, err)
}
