package pdata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// cachedNodes is how many nodes are kept: 3 MiB of them.
const cachedNodes = 768

// moves is how often a walk through a live pool is begun again.
const moves = 100

// Metadata is a pool's metadata, opened for reading. Its methods may be called
// concurrently.
type Metadata struct {
	r    io.ReaderAt
	size int64 // in bytes
	opts Options
	// current is the metadata as of the superblock that was read last.
	current atomic.Pointer[commit]
}

// Options say how metadata are read.
type Options struct {
	// HeldRoot reads them as of the metadata snapshot that the pool holds.
	HeldRoot bool
	// Live says that the kernel has the pool active. The reader must then not be
	// cached by anybody. Walks look at the superblock again when they are done,
	// and begin again where it has changed.
	Live bool
}

// commit is the metadata as of one superblock. The blocks that it leads to stay
// as they are for as long as it is the pool's current one.
type commit struct {
	raw   []byte // of the superblock, what means something
	sb    *Superblock
	view  *Superblock // the metadata snapshot's, where that is read; otherwise sb
	nodes *lru.Cache[uint64, *node]
}

// Open opens a pool's metadata of sizeBytes. Its errors are ErrShort, ErrZeroed,
// ErrNotPool, ErrNoHeldRoot, UnsupportedError, DamageError, and those of reading.
func Open(ctx context.Context, r io.ReaderAt, sizeBytes int64, o Options) (*Metadata, error) {
	m := &Metadata{r: r, size: sizeBytes, opts: o}
	if sizeBytes < BlockBytes {
		return nil, fmt.Errorf("%d bytes: %w", sizeBytes, ErrShort)
	}
	c, err := m.load(ctx)
	if err != nil {
		return nil, err
	}
	m.current.Store(c)
	return m, nil
}

// load reads the superblock, and the one that it holds where that is to be read.
func (m *Metadata) load(ctx context.Context) (*commit, error) {
	var last error
	for range moves {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := m.block(0)
		if err != nil {
			return nil, err
		}
		sb, err := parseSuperblock(b, 0)
		if err != nil {
			// A live one may be in the middle of being written.
			if last = err; m.opts.Live && errors.As(err, new(*DamageError)) {
				continue
			}
			return nil, err
		}
		c := &commit{raw: b[:superblockEnd], sb: sb, view: sb}
		if c.nodes, err = lru.New[uint64, *node](cachedNodes); err != nil {
			return nil, err
		}
		if !m.opts.HeldRoot {
			return c, nil
		}
		if sb.HeldRoot == 0 {
			return nil, ErrNoHeldRoot
		}
		if b, err = m.block(sb.HeldRoot); err == nil {
			c.view, err = parseSuperblock(b, sb.HeldRoot)
		}
		if err != nil && m.opts.Live {
			last = err
			continue
		}
		return c, err
	}
	return nil, last
}

// Superblock is the pool's superblock as it was read last.
func (m *Metadata) Superblock() Superblock { return *m.current.Load().sb }

// Refresh reads the superblock again and tells whether it has changed.
func (m *Metadata) Refresh(ctx context.Context) (changed bool, err error) {
	c := m.current.Load()
	same, err := m.holds(c)
	if err != nil || same {
		return false, err
	}
	now, err := m.load(ctx)
	if err != nil {
		return false, err
	}
	m.current.CompareAndSwap(c, now)
	return true, nil
}

// holds tells whether a commit is still the pool's current one.
func (m *Metadata) holds(c *commit) (bool, error) {
	b, err := m.block(0)
	if err != nil {
		return false, err
	}
	return bytes.Equal(b[:superblockEnd], c.raw), nil
}

// consistent calls walk with a commit, again and again until one was the current
// one all the way through.
func (m *Metadata) consistent(ctx context.Context, walk func(*commit) error) error {
	for range moves {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := m.current.Load()
		err := walk(c)
		if !m.opts.Live {
			return err
		}
		changed, rerr := m.Refresh(ctx)
		if rerr != nil {
			return rerr
		}
		if !changed && m.current.Load() == c {
			return err
		}
	}
	return ErrMoving
}

// block reads one block.
func (m *Metadata) block(at uint64) ([]byte, error) {
	b := make([]byte, BlockBytes)
	if at >= uint64(m.size/BlockBytes) {
		return nil, fmt.Errorf("pool metadata: block %d lies beyond their end: %w", at, io.ErrUnexpectedEOF)
	}
	if _, err := m.r.ReadAt(b, int64(at)*BlockBytes); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("pool metadata: block %d: %w", at, err)
	}
	return b, nil
}
