package pdata

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// walks is how often something is read of a live pool that changes each time.
	walks = 64
	// looks is how often a live pool's superblock is read if it makes no sense, as it does
	// while it is being written.
	looks = 8
	// trust is how far apart two looks at the superblock of a live pool may be, for
	// an equal one to prove that nothing has changed in between.
	trust = 5 * time.Millisecond
	// lateWalks is how often something is read again because the looks were too far
	// apart. If the disk is so slow that they always are, the pool changes as slowly.
	lateWalks = 4
)

// Reader is the bytes that metadata lie in. ReadAt reads as io.ReaderAt does, and may be
// called concurrently; the context ends a read that waits.
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
	// HeldRoot reads them as they were when the metadata snapshot was taken that the
	// pool holds: [ErrNoHeldRoot] if it holds none. The superblock, and
	// with it the number of data blocks, is the pool's all the same.
	HeldRoot bool
	// Live says that somebody has the pool in use, so that it changes.
	Live bool
}

// Open opens the metadata that lie in r and are sizeBytes long. It reads the
// superblock only. What is no pool, or not one that can be read, is one of the
// errors of this package: ErrZeroed, ErrNotPool, ErrChecksum, ErrVersion,
// ErrIncompatible, ErrSuperblock, ErrTruncated.
//
// Metadata shorter than their space map says are opened: what lies beyond their
// end is damage.
func Open(ctx context.Context, r Reader, sizeBytes int64, opts Options) (*Metadata, error) {
	m := &Metadata{r: r, size: max(sizeBytes, 0), opts: opts, trust: trust}
	s, err := m.readState(ctx)
	if err != nil {
		return nil, err
	}
	m.view.Store(newView(m, s, 1))
	return m, nil
}

// Superblock is the pool's superblock as it was last read. With [Options].HeldRoot
// too it is the pool's own, not the copy in the metadata snapshot.
func (m *Metadata) Superblock() Superblock { return m.view.Load().pool }

// Generation is a number that is another one each time that the metadata are
// found to have changed. It reads nothing.
func (m *Metadata) Generation() uint64 { return m.view.Load().generation }

// Refresh reads the superblock again and reports whether the metadata have changed since it
// was last read.
func (m *Metadata) Refresh(ctx context.Context) (changed bool, err error) {
	same, _, err := m.look(ctx, m.view.Load())
	return err == nil && !same, err
}

// state is what the superblock says: the pool's own, and that of what is read, which is
// another one if that is a metadata snapshot.
type state struct {
	pool Superblock
	root Superblock
	identity
}

// identity is what stays the same for as long as the metadata that a superblock
// leads to stay the same.
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

// look reads the superblock again and reports whether what v shows is current. If not, the
// view is replaced. If the look comes too late after the one before, the blocks that v has
// are not used again.
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
	if s.pool != v.pool { // and yet the metadata snapshot is the same
		now := &View{state: s, metadata: m, generation: v.generation, cache: v.cache}
		now.seen.Store(v.seen.Load())
		m.view.CompareAndSwap(v, now)
	}
	return true, late, nil
}

// expired reports whether the last look that found a view current is too long ago.
func (m *Metadata) expired(v *View, now time.Time) bool { return m.expiresIn(v, now) < 0 }

func (m *Metadata) expiresIn(v *View, now time.Time) time.Duration {
	if !m.opts.Live {
		return m.trust
	}
	return m.trust - now.Sub(time.Unix(0, v.seen.Load()))
}

// View is the view to read with now. The blocks that it has of a pool in use are young
// enough to be used. It reads nothing.
func (m *Metadata) View() *View {
	v := m.view.Load()
	if m.expired(v, time.Now()) {
		m.view.CompareAndSwap(v, newView(m, v.state, v.generation))
		v = m.view.Load()
	}
	return v
}

// Read calls f with a view until what f found is of one moment; f begins anew each time. If
// the pool is not in use, f is called once. The error is [ErrChanging] if the pool never
// rests.
func (m *Metadata) Read(ctx context.Context, f func(*View) error) error {
	return m.read(ctx, m.opts.Live, f)
}

// ReadNow is Read of what the superblock leads to now, also if the pool did not seem to be
// in use when it was opened.
func (m *Metadata) ReadNow(ctx context.Context, f func(*View) error) error {
	return m.read(ctx, true, f)
}

// read calls f until a look at the superblock finds that the view was current, if look.
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
