package pdata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	cacheBytes = 4 << 20
	// cacheEntryBytes is the memory that a block takes in the cache, with the cache's own.
	cacheEntryBytes = BlockBytes + 256
)

// blockKind is what kind of block a block must be.
type blockKind uint8

const (
	kindNode blockKind = iota
	kindBitmap
	kindIndex
)

var salts = [...]uint32{kindNode: saltNode, kindBitmap: saltBitmap, kindIndex: saltIndex}

// blockKey is a block, and the kind that it was verified to be.
type blockKey struct {
	block uint64
	kind  blockKind
}

// View is the metadata of one moment: what one superblock leads to. All reads of metadata go
// through a View. Its methods may be called concurrently.
//
// The blocks of a committed superblock do not change while it is the current one. The
// superblock of a live pool may change while a View is read; [View.Check] reports whether it
// has. [Metadata.Read] repeats a walk until it is of one moment.
type View struct {
	state
	metadata   *Metadata
	generation uint64
	cache      *lru.Cache[blockKey, []byte] // blocks that were read under this superblock
	seen       atomic.Int64                 // when the superblock was last found to be current, in Unix nanoseconds
}

func newView(m *Metadata, s state, generation uint64) *View {
	cache, err := lru.New[blockKey, []byte](cacheBytes / cacheEntryBytes)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	v := &View{state: s, metadata: m, generation: generation, cache: cache}
	v.seen.Store(time.Now().UnixNano())
	return v
}

// Check returns nil if all reads by this view until now are of one moment. This includes reads
// of data, whose blocks the pool may have given to another device. Otherwise it returns
// [ErrChanging], also if the last check is too long ago to prove it. It reads the superblock of
// a live pool; if the pool is not live, it does nothing.
func (v *View) Check(ctx context.Context) error {
	if !v.metadata.opts.Live {
		return nil
	}
	same, late, err := v.metadata.look(ctx, v)
	if err == nil && (!same || late) {
		err = ErrChanging
	}
	return err
}

// CheckInTime calls Check if the last one will soon be too long ago. A caller with many reads by
// one view calls it before each.
func (v *View) CheckInTime(ctx context.Context) error {
	if v.metadata.expiresIn(v, time.Now()) >= v.metadata.trust/2 {
		return nil
	}
	return v.Check(ctx)
}

// block returns a block that was verified to be of a kind. The caller must not write to it.
func (v *View) block(ctx context.Context, block uint64, kind blockKind) ([]byte, error) {
	key := blockKey{block, kind}
	if p, ok := v.cache.Get(key); ok {
		return p, nil
	}
	if err := v.checkNumber(block); err != nil {
		return nil, err
	}
	p, err := readBlock(ctx, v.metadata.r, v.metadata.size, block)
	if err != nil {
		return nil, err
	}
	if err := checkBlock(p, block, kind); err != nil {
		return nil, err
	}
	v.cache.Add(key, p)
	return p, nil
}

// checkNumber returns an error for a block number that cannot be in a tree.
func (v *View) checkNumber(block uint64) error {
	switch n := v.pool.MetadataSpaceMapRoot.NrBlocks; {
	case block == 0:
		return errors.New("the superblock's own block")
	case block >= n:
		return fmt.Errorf("not one of the %d metadata blocks", n)
	}
	return nil
}

func checkBlock(p []byte, block uint64, kind blockKind) error {
	if err := checkSum(p, salts[kind]); err != nil {
		return err
	}
	if nr := le.Uint64(p[8:]); nr != block {
		return fmt.Errorf("says that it is block %d", nr)
	}
	if kind == kindNode {
		return checkNode(p)
	}
	return nil
}

func readBlock(ctx context.Context, r Reader, size int64, block uint64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if block >= uint64(size)/BlockBytes {
		return nil, ErrTruncated
	}
	p := make([]byte, BlockBytes)
	n, err := r.ReadAt(ctx, p, int64(block)*BlockBytes)
	switch {
	case n == len(p):
		return p, nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, ErrTruncated
	}
	return nil, err
}
