package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"thintree/volfs"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

const (
	// headBytes reaches to the end of the btrfs superblock.
	headBytes = 68 << 10

	budgetBytes = 1 << 20
	budgetReads = 512
)

var errBudget = errors.New("probe: the volume leads to more than is read of it")

// prober reads a volume for the functions that look for signatures.
type prober struct {
	ctx        context.Context
	v          volfs.Volume
	head       []byte
	partitions *Table
	bytesLeft  int
	readsLeft  int
	nonzero    bool  // a byte that is not zero was read
	err        error // the first
}

func newProber(ctx context.Context, v volfs.Volume) *prober {
	return &prober{ctx: ctx, v: v, bytesLeft: budgetBytes, readsLeft: budgetReads}
}

// heads are buffers for the start of a volume. A Result keeps none of their bytes.
var heads = sync.Pool{New: func() any { return new([headBytes]byte) }}

// readHead reads the start of the volume into a buffer, up to the first byte that cannot be
// read.
func (p *prober) readHead(head *[headBytes]byte) {
	p.head = p.read(head[:0], 0, int(min(headBytes, p.v.Size())))
}

// at returns n bytes at off. It returns nil if the volume does not have them, they cannot
// be read, or the budget is used up.
func (p *prober) at(off int64, n int) []byte {
	if off < 0 || n <= 0 || off > p.v.Size()-int64(n) {
		return nil
	}
	if end := off + int64(n); end <= int64(len(p.head)) {
		return p.head[off:end]
	}
	if b := p.read(nil, off, n); len(b) == n {
		return b
	}
	return nil
}

// atU is at for an offset from the disk.
func (p *prober) atU(off uint64, n int) []byte {
	if off > uint64(p.v.Size()) {
		return nil
	}
	return p.at(int64(off), n)
}

// read reads n bytes, or as many as can be read. It uses buf if that has room for them.
func (p *prober) read(buf []byte, off int64, n int) []byte {
	if p.readsLeft == 0 || n > p.bytesLeft {
		p.fail(errBudget)
		return nil
	}
	p.readsLeft--
	p.bytesLeft -= n
	if err := p.ctx.Err(); err != nil {
		p.fail(err)
		return nil
	}
	buf = slices.Grow(buf, n)[:n]
	n, err := p.v.ReadAt(p.ctx, buf, off)
	if n < len(buf) && err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		p.fail(fmt.Errorf("probe %d bytes at byte %d: %w", len(buf), off, err))
	}
	buf = buf[:n]
	p.nonzero = p.nonzero || !isZero(buf)
	return buf
}

func (p *prober) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// has reports whether magic is at off.
func (p *prober) has(off int64, magic string) bool {
	return string(p.at(off, len(magic))) == magic
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
