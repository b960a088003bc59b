package tree

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thintree/volfs"
)

// inKernel is a file of the kernel's.
type inKernel struct{ *os.File }

func (f inKernel) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.File.ReadAt(p, off)
}

func (inKernel) NextData(_ context.Context, off int64) (int64, error) { return off, nil }
func (inKernel) NextHole(_ context.Context, off int64) (int64, error) { return off, nil }

func TestOnlyWhatTheKernelReadsAndNobodyWritesIsBacked(t *testing.T) {
	t.Parallel()
	open := func() *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	lent := func(by choice) *mounted {
		m := &mounted{flight: newFlight[volfs.FS](), by: by}
		close(m.done)
		return m
	}
	whole := lent(choice{engine: EngineKernel})
	closed := &File{Kept: true, from: whole, bytes: inKernel{open()}}
	if err := closed.close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file *File
		want bool
	}{
		"of the kernel":                         {&File{Kept: true, from: whole, bytes: inKernel{open()}}, true},
		"of a pool whose owner must get a turn": {&File{Kept: true, from: lent(choice{engine: EngineKernel, shared: true}), bytes: inKernel{open()}}, false},
		"that may be written to":                {&File{from: whole, bytes: inKernel{open()}}, false},
		"read by this process":                  {&File{Kept: true, from: whole, bytes: image{nothing{}}}, false},
		"made by this process":                  {&File{Made: true, Kept: true, bytes: textFile{strings.NewReader("")}}, false},
		"of an unmounted volume":                {closed, false},
		"that was not opened yet":               {&File{Kept: true}, false},
	} {
		used := false
		got := c.file.Backed(func(fd int) {
			used = fd == int(c.file.bytes.(inKernel).Fd())
		})
		if got != c.want || used != c.want {
			t.Errorf("a file %s: %v, its descriptor was used: %v", name, got, used)
		}
	}
}
