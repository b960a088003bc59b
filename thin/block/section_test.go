package block

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// model is a Reader in memory. Its zero bytes are holes.
type model []byte

func (m model) Size() int64 { return int64(len(m)) }

func (m model) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}

func (m model) NextData(_ context.Context, off int64) (int64, error) {
	for ; off < m.Size(); off++ {
		if m[off] != 0 {
			return off, nil
		}
	}
	return 0, io.EOF
}

func (m model) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= m.Size() {
		return 0, io.EOF
	}
	for off < m.Size() && m[off] != 0 {
		off++
	}
	return off, nil
}

func TestSectionIsAPartOfItsReader(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := model(rapid.SliceOfN(rapid.ByteRange(0, 1), 0, 40).Draw(t, "all"))
		start := rapid.IntRange(0, len(all)).Draw(t, "start")
		length := rapid.IntRange(0, len(all)-start).Draw(t, "length")
		want := all[start : start+length]
		got := Section(all, int64(start), int64(length))
		if got.Size() != want.Size() {
			t.Fatalf("Size = %d", got.Size())
		}
		off := rapid.Int64Range(0, int64(length)+2).Draw(t, "off")
		a, b := make([]byte, rapid.IntRange(1, 20).Draw(t, "n")), make([]byte, 20)
		n, err := got.ReadAt(context.Background(), a, off)
		wantN, wantErr := want.ReadAt(context.Background(), b[:len(a)], off)
		if n != wantN || err != wantErr || !bytes.Equal(a[:n], b[:n]) {
			t.Fatalf("ReadAt = %d, %v; want %d, %v", n, err, wantN, wantErr)
		}
		at, err := got.NextData(context.Background(), off)
		if wantAt, wantErr := want.NextData(context.Background(), off); at != wantAt || err != wantErr {
			t.Fatalf("NextData = %d, %v; want %d, %v", at, err, wantAt, wantErr)
		}
		at, err = got.NextHole(context.Background(), off)
		if wantAt, wantErr := want.NextHole(context.Background(), off); at != wantAt || err != wantErr {
			t.Fatalf("NextHole = %d, %v; want %d, %v", at, err, wantAt, wantErr)
		}
	})
}

func TestSectionBeyondItsReaderIsAnErrorNotAHole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		off, length int64
		inner       int
	}{
		"over the end":   {6, 10, 4},
		"after the end":  {20, 10, 0},
		"to the maximum": {6, math.MaxInt64, 4},
	} {
		s := Section(model("abcdef\x00\x00\x00\x00"), c.off, c.length)
		n, err := s.ReadAt(t.Context(), make([]byte, 8), 0)
		if n != c.inner || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: ReadAt = %d, %v", name, n, err)
		}
		if at, err := s.NextData(t.Context(), 0); at != int64(c.inner) || err != nil {
			t.Errorf("%s: NextData = %d, %v", name, at, err)
		}
		if at, err := s.NextHole(t.Context(), int64(c.inner)); at != s.Size() || err != nil {
			t.Errorf("%s: NextHole = %d, %v", name, at, err)
		}
	}
}

func TestSectionRefusesNegativeOffsets(t *testing.T) {
	t.Parallel()
	all := model("abcdef")
	for _, s := range []Reader{Section(all, -1, 4), Section(Section(all, 2, 2), -1, 3)} {
		if n, err := s.ReadAt(t.Context(), make([]byte, 1), 1); n != 0 || err == nil {
			t.Errorf("a section before the start: %d, %v", n, err)
		}
	}
	s := Section(all, 2, 2)
	if n, err := s.ReadAt(t.Context(), make([]byte, 1), -1); n != 0 || err == nil {
		t.Errorf("before the section: %d, %v", n, err)
	}
	if size := Section(all, 2, -5).Size(); size != 0 {
		t.Errorf("a negative length is %d bytes", size)
	}
}
