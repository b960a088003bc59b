package probe

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"testing"
)

// file is a volume in a file, without holes.
type file struct {
	*os.File
	size int64
}

func (f file) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.File.ReadAt(p, off)
}

func (f file) Size() int64 { return f.size }

func (f file) NextData(_ context.Context, off int64) (int64, error) { return atOrEOF(off, off, f.size) }

func (f file) NextHole(_ context.Context, off int64) (int64, error) {
	return atOrEOF(off, f.size, f.size)
}

func atOrEOF(off, answer, size int64) (int64, error) {
	if off >= size {
		return 0, io.EOF
	}
	return answer, nil
}

func openFile(t *testing.T, path string) file {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return file{f, st.Size()}
}

// sparse is a volume in memory: parts by offset, zeros between them.
type sparse struct {
	size  int64
	parts map[int64][]byte
}

func (s sparse) Size() int64 { return s.size }

func (s sparse) NextData(_ context.Context, off int64) (int64, error) {
	return atOrEOF(off, off, s.size)
}

func (s sparse) NextHole(_ context.Context, off int64) (int64, error) {
	return atOrEOF(off, s.size, s.size)
}

func (s sparse) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size-off))
	clear(p[:n])
	for _, at := range slices.Sorted(maps.Keys(s.parts)) {
		part := s.parts[at]
		if from, to := max(at, off), min(at+int64(len(part)), off+int64(n)); from < to {
			copy(p[from-off:to-off], part[from-at:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
