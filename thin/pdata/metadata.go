package pdata

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// walks is how often a walk is tried if the pool changes each time.
	walks = 64
	// looks is how often a live pool's superblock is read if it is not valid, because it
	// may be just being written.
	looks = 8
	// trust is the longest time between two looks at the superblock of a live pool. If
	// they are further apart, an equal superblock does not prove that nothing changed.
	trust = 5 * time.Millisecond
	// lateWalks is how often a walk is repeated because its looks were too far apart. If
	// the disk is so slow that they always are, the pool changes as slowly.
	lateWalks = 4
)

// Reader reads the bytes of the metadata. ReadAt reads as io.ReaderAt does, and may be called
// concurrently. The context ends a read that waits.
type Reader interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// Metadata is an open pool's metadata. Its methods may be called concurrently.
type Metadata struct {
	r     Reader
	size  int64 // bytes
	opts  Options
	trust time.Duration
	view  atomic.Pointer[View]
}

// Options say how metadata are read.
type Options struct {
	// HeldRoot reads the metadata of the metadata snapshot that the pool holds. The error
	// is [ErrNoHeldRoot] if it holds none. The superblock, with the number of data blocks,
	// is still the pool's own.
	HeldRoot bool
	// Live says that somebody else may change the pool while it is read.
	Live bool
}

// Open opens the metadata in r, which are sizeBytes long. It reads only the superblock. If that
// is not of a pool that can be read, the error is one of this package: ErrZeroed, ErrNotPool,
// ErrChecksum, ErrVersion, ErrIncompatible, ErrSuperblock, ErrTruncated.
//
// Metadata that are shorter than their space map says can be opened. The blocks beyond their
// end are damage.
func Open(ctx context.Context, r Reader, sizeBytes int64, opts Options) (*Metadata, error) {
	m := &Metadata{r: r, size: max(sizeBytes, 0), opts: opts, trust: trust}
	s, err := m.readState(ctx)
	if err != nil {
		return nil, err
	}
	m.view.Store(newView(m, s, 1))
	return m, nil
}

// Superblock is the pool's superblock as it was last read. It is the pool's own, also with
// [Options].HeldRoot, not the copy in the metadata snapshot.
func (m *Metadata) Superblock() Superblock { return m.view.Load().pool }

// Generation is a number that grows each time that the metadata are found to have changed. It
// reads nothing.
func (m *Metadata) Generation() uint64 { return m.view.Load().generation }

// Refresh reads the superblock again and reports whether the metadata have changed since it
// was last read.
func (m *Metadata) Refresh(ctx context.Context) (changed bool, err error) {
	same, _, err := m.look(ctx, m.view.Load())
	return err == nil && !same, err
}

// state is what was read from the superblock.
type state struct {
	pool Superblock // the pool's own
	root Superblock // of the metadata that are read: the snapshot's with Options.HeldRoot
	identity
}

// identity is equal for two looks at the superblock if it leads to the same metadata.
type identity struct {
	superblock   [superblockUsed]byte
	nrDataBlocks uint64
}

func (m *Metadata) readState(ctx context.Context) (s state, err error) {
	for range looks {
		s, err = m.readStateOnce(ctx)
		if err == nil || !m.opts.Live || ctx.Err() != nil || errors.Is(err, ErrNoHeldRoot) {
			break
		}
	}
	return s, err
}

func (m *Metadata) readStateOnce(ctx context.Context) (state, error) {
	pool, raw, err := m.readSuperblock(ctx, 0)
	if err != nil {
		return state{}, fmt.Errorf("superblock: %w", err)
	}
	root := pool
	if m.opts.HeldRoot {
		if pool.HeldRoot == 0 {
			return state{}, ErrNoHeldRoot
		}
		if root, raw, err = m.readSuperblock(ctx, pool.HeldRoot); err != nil {
			return state{}, fmt.Errorf("metadata snapshot in block %d: %w", pool.HeldRoot, err)
		}
		if root.DataBlockSize != pool.DataBlockSize {
			return state{}, fmt.Errorf("metadata snapshot in block %d: %w: data blocks of %d sectors, the pool's have %d",
				pool.HeldRoot, ErrSuperblock, root.DataBlockSize, pool.DataBlockSize)
		}
	}
	return state{pool, root, identity{[superblockUsed]byte(raw), pool.DataSpaceMapRoot.NrBlocks}}, nil
}

func (m *Metadata) readSuperblock(ctx context.Context, block uint64) (Superblock, []byte, error) {
	p, err := readBlock(ctx, m.r, m.size, block)
	if err != nil {
		return Superblock{}, nil, err
	}
	s, err := parseSuperblock(p, block)
	return s, p, err
}

// look reads the superblock again and reports whether v is still current. If not, it replaces
// the view. late is true if the last look is too long ago. The blocks of v are not used again
// then.
func (m *Metadata) look(ctx context.Context, v *View) (same, late bool, err error) {
	at := time.Now()
	s, err := m.readState(ctx)
	if err != nil {
		return false, false, err
	}
	if s.identity != v.identity {
		m.view.CompareAndSwap(v, newView(m, s, v.generation+1))
		return false, false, nil
	}
	if late = m.expired(v, at); !late {
		v.seen.Store(at.UnixNano())
	}
	if s.pool != v.pool { // but the metadata snapshot is the same
		now := &View{state: s, metadata: m, generation: v.generation, cache: v.cache}
		now.seen.Store(v.seen.Load())
		m.view.CompareAndSwap(v, now)
	}
	return true, late, nil
}

// expired reports whether the last look that found v current is too long ago.
func (m *Metadata) expired(v *View, now time.Time) bool { return m.expiresIn(v, now) < 0 }

func (m *Metadata) expiresIn(v *View, now time.Time) time.Duration {
	if !m.opts.Live {
		return m.trust
	}
	return m.trust - now.Sub(time.Unix(0, v.seen.Load()))
}

// View returns the view to read with now. Its blocks of a live pool are young enough to be
// used. It reads nothing.
func (m *Metadata) View() *View {
	v := m.view.Load()
	if m.expired(v, time.Now()) {
		m.view.CompareAndSwap(v, newView(m, v.state, v.generation))
		v = m.view.Load()
	}
	return v
}

// Read calls f with a view, again and again until what f read is of one moment. f starts from
// the beginning each time. If the pool is not live, f is called once. The error is
// [ErrChanging] if the pool changes each time.
func (m *Metadata) Read(ctx context.Context, f func(*View) error) error {
	return m.read(ctx, m.opts.Live, f)
}

// ReadNow is Read, but reads the superblock again also if the pool is not live.
func (m *Metadata) ReadNow(ctx context.Context, f func(*View) error) error {
	return m.read(ctx, true, f)
}

// read calls f. If look is true, it repeats that until a look at the superblock finds the view
// current.
func (m *Metadata) read(ctx context.Context, look bool, f func(*View) error) error {
	for i := range walks {
		v := m.View()
		err := f(v)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !look {
			return err
		}
		same, late, lookErr := m.look(ctx, v)
		if lookErr != nil {
			return lookErr
		}
		if same && (!late || i >= lateWalks) {
			return err
		}
	}
	return ErrChanging
}
