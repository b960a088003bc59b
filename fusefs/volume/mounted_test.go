package volume

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"thintree/fusefs/layout"
	"thintree/volfs"
)

// turnFS is a filesystem with one file. It counts how many filesystems and files are open.
type turnFS struct {
	volfs.FS
	attr   *volfs.Attr
	open   *atomic.Int64 // filesystems and files that are open
	opened *atomic.Int64 // how often the file was opened
}

func (f turnFS) Root() volfs.Ino                                     { return 2 }
func (f turnFS) Close() error                                        { f.open.Add(-1); return nil }
func (f turnFS) Stat(context.Context, volfs.Ino) (volfs.Attr, error) { return *f.attr, nil }

func (f turnFS) Open(context.Context, volfs.Ino) (volfs.File, error) {
	f.open.Add(1)
	f.opened.Add(1)
	return turnFile{memFile{strings.NewReader("text")}, f.open}, nil
}

type turnFile struct {
	memFile
	open *atomic.Int64
}

func (f turnFile) Close() error { f.open.Add(-1); return nil }

// takingTurns returns a file that is open in a filesystem that takes turns. next ends a turn
// and begins the next one.
func takingTurns(t *testing.T, fs turnFS) (f *File, next func() *mounted) {
	t.Helper()
	c := &Contents{fss: make(map[layout.Place]*mounted), opener: NewOpener(Options{})}
	r := someVolume(t, 7)
	turn := func() *mounted {
		fs.open.Add(1)
		m := &mounted{flight: newFlight[volfs.FS](), at: time.Now(), by: choice{engine: EngineKernel, shared: true}}
		m.start(t.Context(), func(context.Context) (volfs.FS, error) { return fs, nil })
		<-m.done
		c.mu.Lock()
		defer c.mu.Unlock()
		c.fss[r.Place] = m
		return m
	}
	f = &File{contents: c, root: r, ino: 12}
	m := turn()
	if _, err := m.use(func(fs volfs.FS) error { return f.open(t.Context(), m, fs) }); err != nil {
		t.Fatal(err)
	}
	return f, func() *mounted {
		c.giveBack(r.Place, m)
		if n := fs.open.Load(); n != 0 {
			t.Errorf("after the turn %d files and filesystems are open", n)
		}
		m = turn()
		return m
	}
}

func TestOpenFileGoesOnInTheNextTurn(t *testing.T) {
	t.Parallel()
	fs := turnFS{attr: &volfs.Attr{Ino: 12, Size: 4}, open: new(atomic.Int64), opened: new(atomic.Int64)}
	f, next := takingTurns(t, fs)
	read := func() (string, error) {
		text := make([]byte, 4)
		err := f.with(t.Context(), func(b volfs.File) error {
			_, err := b.ReadAt(t.Context(), text, 0)
			return err
		})
		return string(text), err
	}
	for range 3 {
		for range 2 {
			if text, err := read(); text != "text" || err != nil {
				t.Fatalf("%q, %v", text, err)
			}
		}
		next()
	}
	if n := fs.opened.Load(); n != 3 {
		t.Errorf("opened %d times in three turns", n)
	}
	fs.attr.Atime.Sec++
	if _, err := read(); err != nil {
		t.Errorf("a file whose access time has changed cannot be read: %v", err)
	}
	fs.attr.Ctime.Sec++
	last := next()
	if _, err := read(); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("reading a changed file: %v, want ESTALE", err)
	}
	if err := errors.Join(f.Close(), last.close(), f.Close()); err != nil {
		t.Error(err)
	}
	if n := fs.open.Load(); n != 0 {
		t.Errorf("%d files and filesystems are open", n)
	}
}

func TestTurnEndsAfterTheCallsUnderWay(t *testing.T) {
	t.Parallel()
	fs := turnFS{attr: &volfs.Attr{}, open: new(atomic.Int64), opened: new(atomic.Int64)}
	f, _ := takingTurns(t, fs)
	m := f.from
	reading, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go f.with(t.Context(), func(volfs.File) error {
		close(reading)
		<-goOn
		return nil
	})
	<-reading
	go func() { ended <- m.close() }()
	select {
	case <-ended:
		t.Error("the turn ends while a call is under way")
	case <-time.After(20 * time.Millisecond):
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
