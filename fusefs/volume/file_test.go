package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"thintree/volfs"
)

// inKernel is a file that the kernel reads.
type inKernel struct{ *os.File }

func (f inKernel) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.File.ReadAt(p, off)
}

func (inKernel) NextData(_ context.Context, off int64) (int64, error) { return off, nil }
func (inKernel) NextHole(_ context.Context, off int64) (int64, error) { return off, nil }

func TestOnlyUnchangingFilesThatTheKernelReadsArePassedThrough(t *testing.T) {
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
	closed := &File{kept: true, from: whole, bytes: inKernel{open()}}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file *File
		want bool
	}{
		"read by the kernel":                    {&File{kept: true, from: whole, bytes: inKernel{open()}}, true},
		"of a pool whose owner must get a turn": {&File{kept: true, from: lent(choice{engine: EngineKernel, shared: true}), bytes: inKernel{open()}}, false},
		"that may be written to":                {&File{from: whole, bytes: inKernel{open()}}, false},
		"read by this process":                  {&File{kept: true, from: whole, bytes: image{}}, false},
		"of an unmounted volume":                {closed, false},
		"that is not open yet":                  {&File{kept: true}, false},
	} {
		used := false
		got := c.file.Descriptor(func(fd int) {
			used = fd == int(c.file.bytes.(inKernel).Fd())
		})
		if got != c.want || used != c.want {
			t.Errorf("a file %s: %v, its descriptor was used: %v", name, got, used)
		}
	}
}

// memFile is a file in memory.
type memFile struct{ *strings.Reader }

func (f memFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return f.Reader.ReadAt(p, off)
}

func (f memFile) NextData(_ context.Context, off int64) (int64, error) { return off, nil }
func (f memFile) NextHole(context.Context, int64) (int64, error)       { return f.Size(), nil }
func (memFile) Close() error                                           { return nil }

// closer is a file that notes its Close.
type closer struct {
	memFile
	closed *atomic.Bool
}

func (c closer) Close() error {
	c.closed.Store(true)
	return nil
}

func TestClosedFileIsStale(t *testing.T) {
	t.Parallel()
	closed := new(atomic.Bool)
	f := &File{bytes: closer{memFile{strings.NewReader("text")}, closed}}
	if _, err := f.ReadAt(t.Context(), make([]byte, 4), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil || !closed.Load() {
		t.Fatalf("closed: %v, %v", closed.Load(), err)
	}
	_, readErr := f.ReadAt(t.Context(), make([]byte, 4), 0)
	_, seekErr := f.NextData(t.Context(), 0)
	if !errors.Is(readErr, syscall.ESTALE) || !errors.Is(seekErr, syscall.ESTALE) {
		t.Errorf("read: %v, seek: %v", readErr, seekErr)
	}
}

func TestFileIsNotClosedWhileItIsRead(t *testing.T) {
	t.Parallel()
	closed := new(atomic.Bool)
	s := slow{closer{memFile{strings.NewReader("text")}, closed}, make(chan struct{}), make(chan struct{})}
	f := &File{bytes: s}
	read := make(chan error)
	go func() {
		_, err := f.ReadAt(t.Context(), make([]byte, 4), 0)
		read <- err
	}()
	<-s.begun
	cut := make(chan error)
	go func() { cut <- f.Close() }()
	select {
	case <-cut:
		t.Error("the file is closed during a read")
	case <-time.After(10 * time.Millisecond):
	}
	close(s.goOn)
	if err := errors.Join(<-read, <-cut); err != nil || !closed.Load() {
		t.Errorf("closed: %v, %v", closed.Load(), err)
	}
}

// slow is a file whose reads block until goOn is closed.
type slow struct {
	closer
	begun, goOn chan struct{}
}

func (s slow) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	close(s.begun)
	<-s.goOn
	return s.closer.ReadAt(ctx, p, off)
}
