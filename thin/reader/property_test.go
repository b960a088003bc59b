package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"pgregory.net/rapid"

	"thintree/thin/block"
)

// model is the simplest implementation of a device.
type model struct {
	block, size int64
	mapped      map[int64]int64
	origin      *sparse // nil: none
	data        block.Reader
}

// sparse is a block.Reader in memory. Some of its units are holes.
type sparse struct {
	p    []byte
	hole []bool // by unit
}

const unit = 4096

func newSparse(length int64, hole func(unit int) bool) *sparse {
	s := &sparse{p: make([]byte, length), hole: make([]bool, (length+unit-1)/unit)}
	for i := range s.p {
		s.hole[i/unit] = hole(i / unit)
		if !s.hole[i/unit] {
			s.p[i] = byte(i%251) + 1
		}
	}
	return s
}

func (s *sparse) Size() int64 { return int64(len(s.p)) }

func (s *sparse) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(s.p).ReadAt(p, off)
}

func (s *sparse) NextData(_ context.Context, off int64) (int64, error) {
	for ; off < s.Size(); off += unit - off%unit {
		if !s.hole[off/unit] {
			return off, nil
		}
	}
	return 0, io.EOF
}

func (s *sparse) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= s.Size() {
		return 0, io.EOF
	}
	for ; off < s.Size(); off += unit - off%unit {
		if s.hole[off/unit] {
			return off, nil
		}
	}
	return s.Size(), nil
}

// read reads a range within the device.
func (m *model) read(p []byte, off int64) error {
	for len(p) > 0 {
		part := p[:min(int64(len(p)), m.block-off%m.block)]
		data, ok := m.mapped[off/m.block]
		var err error
		switch {
		case ok:
			_, err = m.data.ReadAt(context.Background(), part, data*m.block+off%m.block)
		case m.origin != nil && off < m.origin.Size():
			copy(part, m.origin.p[off:])
		}
		if err != nil {
			return err
		}
		p, off = p[len(part):], off+int64(len(part))
	}
	return nil
}

func (m *model) isData(off int64) bool {
	if _, ok := m.mapped[off/m.block]; ok {
		return true
	}
	return m.origin != nil && off < m.origin.Size() && !m.origin.hole[off/unit]
}

// next is the next data or hole. Data and holes change only at the ends of blocks, at the ends
// of the origin's units, and at the origin's end.
func (m *model) next(off int64, data bool) (int64, error) {
	if off >= m.size {
		return 0, io.EOF
	}
	for off < m.size {
		if m.isData(off) == data {
			return off, nil
		}
		step := m.block - off%m.block
		if m.origin != nil && off < m.origin.Size() {
			step = min(step, unit-off%unit, m.origin.Size()-off)
		}
		off += step
	}
	if data {
		return 0, io.EOF
	}
	return m.size, nil
}

func TestReadsLikeTheModel(t *testing.T) {
	t.Parallel()
	for _, blockBytes := range []int64{64 * kib, 192 * kib, 1 * mib, 1 * gib} {
		t.Run(fmt.Sprint(blockBytes/kib, " KiB"), func(t *testing.T) {
			t.Parallel()
			const dataBlocks = 12
			files := newPool(t, poolSpec{blockBytes: blockBytes, dataBlocks: dataBlocks})
			data, err := block.Open(files.data, block.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer data.Close()
			rapid.Check(t, func(r *rapid.T) {
				m, runs := drawModel(r, blockBytes, dataBlocks)
				m.data = data
				files.format(t, poolSpec{blockBytes: blockBytes, dataBlocks: dataBlocks, devices: []deviceSpec{{id: 1, runs: runs}}})
				compare(t, r, files, m)
			})
		})
	}
}

// drawModel draws a device of any mapping, size and origin.
func drawModel(r *rapid.T, blockBytes, dataBlocks int64) (*model, []runSpec) {
	const virtualBlocks = 10
	m := &model{block: blockBytes, mapped: make(map[int64]int64)}
	var runs []runSpec
	for v := int64(0); v < virtualBlocks; {
		length := rapid.Int64Range(1, 4).Draw(r, "length")
		if rapid.Bool().Draw(r, "mapped") {
			run := runSpec{v, rapid.Int64Range(0, dataBlocks-length).Draw(r, "data"), length, rapid.Int64Range(0, 1).Draw(r, "time")}
			for i := range length {
				m.mapped[v+i] = run.data + i
			}
			runs = append(runs, run)
		}
		v += length
	}
	m.size = rapid.Int64Range(1, (virtualBlocks+1)*blockBytes).Draw(r, "size")
	if rapid.Bool().Draw(r, "origin") {
		holes := rapid.SliceOfN(rapid.Bool(), 1, 8).Draw(r, "holes")
		length := rapid.Int64Range(1, min(virtualBlocks*blockBytes, 300*kib)).Draw(r, "origin length")
		m.origin = newSparse(length, func(unit int) bool { return holes[unit%len(holes)] })
	}
	return m, runs
}

func compare(t *testing.T, r *rapid.T, files poolFiles, m *model) {
	p, err := Open(t.Context(), block.At(files.metadata), block.At(files.data), Options{})
	if err != nil {
		r.Fatal(err)
	}
	defer p.Close()
	d, err := p.OpenDevice(t.Context(), 1, m.size, nil)
	if m.origin != nil {
		d, err = p.OpenDevice(t.Context(), 1, m.size, m.origin)
	}
	if err != nil {
		r.Fatal(err)
	}
	defer d.Close()
	compareDevice(r, d, m)
	if m.origin != nil {
		return
	}
	p.state.liveBy = "a device that has it active"
	err = p.Peek(t.Context(), 1, func(open func(int64) block.Reader) error {
		compareDevice(r, open(m.size), m)
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	p.state.liveBy = ""
}

func compareDevice(r *rapid.T, d block.Reader, m *model) {
	for range 8 {
		off := drawOffset(r, m)
		got := bytes.Repeat([]byte{0xee}, int(rapid.Int64Range(1, min(3*m.block, 400*kib)).Draw(r, "n")))
		n, err := d.ReadAt(context.Background(), got, off)
		wantN := max(min(int64(len(got)), m.size-off), 0)
		if int64(n) != wantN || n < len(got) && err != io.EOF || n == len(got) && err != nil && err != io.EOF {
			r.Fatalf("read of %d bytes at %d of %d: %d, %v", len(got), off, m.size, n, err)
		}
		want := make([]byte, n)
		if err := m.read(want, off); err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(got[:n], want) {
			r.Fatalf("%d bytes at %d differ", n, off)
		}
		for _, data := range []bool{true, false} {
			next := d.NextHole
			if data {
				next = d.NextData
			}
			at, err := next(context.Background(), off)
			wantAt, wantErr := m.next(off, data)
			if at != wantAt || !errors.Is(err, wantErr) {
				r.Fatalf("next, data %v, from %d of %d: %d, %v, want %d, %v", data, off, m.size, at, err, wantAt, wantErr)
			}
		}
	}
}

// drawOffset draws an offset, often near the end of a block, of the device or of the origin.
func drawOffset(r *rapid.T, m *model) int64 {
	near := rapid.Int64Range(0, m.size/m.block+1).Draw(r, "block") * m.block
	switch rapid.IntRange(0, 3).Draw(r, "near") {
	case 0:
		near = m.size
	case 1:
		if m.origin != nil {
			near = m.origin.Size()
		}
	case 2:
		return rapid.Int64Range(0, m.size).Draw(r, "offset")
	}
	return max(near+rapid.Int64Range(-2*unit, 2*unit).Draw(r, "by"), 0)
}
