package block

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"thintree/tests/loopmount"
)

// writeFile makes a file of n random bytes.
func writeFile(t *testing.T, n int) (path string, contents []byte) {
	t.Helper()
	contents = make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(contents)
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, contents
}

func mustOpen(t *testing.T, path string, opts Options) *File {
	t.Helper()
	f, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func mustOpenDirect(t *testing.T, path string) *File {
	t.Helper()
	f := mustOpen(t, path, Options{Direct: true})
	if !f.Direct() {
		t.Skip("needs a temporary folder on a filesystem with O_DIRECT")
	}
	return f
}

func TestOpenSaysWhatItCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		dir:                           unix.EISDIR,
		fifo:                          unix.ENOTBLK,
		"/dev/null":                   unix.ENOTBLK,
		filepath.Join(dir, "nothing"): unix.ENOENT,
	} {
		if _, err := Open(path, Options{}); !errors.Is(err, want) {
			t.Errorf("Open(%s): %v, want %v", path, err, want)
		}
	}
}

func TestOpenKeepsTheAccessTime(t *testing.T) {
	t.Parallel()
	path, _ := writeFile(t, 10000)
	old := []unix.Timespec{{Sec: 1000}, {Sec: 2000}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, old, 0); err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, path, Options{})
	if _, err := f.ReadAt(t.Context(), make([]byte, 100), 0); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Atim.Sec != 1000 {
		t.Errorf("access time is %d", st.Atim.Sec)
	}
}

func TestReadAtTheEnd(t *testing.T) {
	t.Parallel()
	const size = 3*4096 + 77
	path, contents := writeFile(t, size)
	for _, direct := range []bool{false, true} {
		f := mustOpen(t, path, Options{Direct: direct})
		if f.Size() != size {
			t.Errorf("Size = %d", f.Size())
		}
		for _, c := range []struct {
			off  int64
			n    int
			want int
			err  error
		}{
			{0, size, size, nil},
			{0, size + 1, size, io.EOF},
			{size - 10, 10, 10, nil},
			{size - 10, 11, 10, io.EOF},
			{4096, 1 << 21, size - 4096, io.EOF},
			{size, 1, 0, io.EOF},
			{size + 1<<40, 1, 0, io.EOF},
			{size, 0, 0, nil},
			{-1, 1, 0, unix.EINVAL},
		} {
			p := make([]byte, c.n)
			n, err := f.ReadAt(t.Context(), p, c.off)
			if n != c.want || !errors.Is(err, c.err) {
				t.Errorf("direct %v: ReadAt(%d bytes, %d) = %d, %v; want %d, %v", direct, c.n, c.off, n, err, c.want, c.err)
			}
			if n > 0 && !bytes.Equal(p[:n], contents[c.off:c.off+int64(n)]) {
				t.Errorf("direct %v: ReadAt(%d bytes, %d): wrong bytes", direct, c.n, c.off)
			}
		}
	}
}

func TestDirectReadsReturnTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 511, 4096, 3<<20 + 1234} {
		path, contents := writeFile(t, size)
		f := mustOpenDirect(t, path)
		rapid.Check(t, func(t *rapid.T) {
			off := rapid.IntRange(0, size-1).Draw(t, "off")
			n := rapid.IntRange(1, size-off).Draw(t, "n")
			if rapid.Bool().Draw(t, "aligned") {
				off, n = off&^4095, max(1, n&^4095)
			}
			skew := rapid.IntRange(0, 8).Draw(t, "skew")
			p := (*alignedBuffer(n+8, 4096))[skew : skew+n]
			n = min(n, size-off)
			got, err := f.ReadAt(context.Background(), p[:n], int64(off))
			if got != n || err != nil {
				t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", n, off, got, err)
			}
			if !bytes.Equal(p[:n], contents[off:off+n]) {
				t.Fatalf("ReadAt(%d bytes, %d): wrong bytes", n, off)
			}
		})
	}
}

func TestConcurrentDirectReadsAndSeeks(t *testing.T) {
	t.Parallel()
	const size = 2<<20 + 5
	path, contents := writeFile(t, size)
	if err := os.Truncate(path, 4<<20); err != nil { // a hole at the end
		t.Fatal(err)
	}
	f := mustOpenDirect(t, path)
	var wg sync.WaitGroup
	for seed := range uint64(bounces + 8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for range 50 {
				off := r.IntN(size - 10000)
				p := make([]byte, 1+r.IntN(10000))
				if _, err := f.ReadAt(t.Context(), p, int64(off)); err != nil || !bytes.Equal(p, contents[off:off+len(p)]) {
					t.Errorf("ReadAt(%d bytes, %d): %v", len(p), off, err)
				}
				if at, err := f.NextData(t.Context(), int64(off)); err != nil || at != int64(off) {
					t.Errorf("NextData(%d) = %d, %v", off, at, err)
				}
				if at, err := f.NextHole(t.Context(), int64(off)); err != nil || at < size || at > size+1<<16 {
					t.Errorf("NextHole(%d) = %d, %v", off, at, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestShrunkenFileIsAnErrorNotAHole(t *testing.T) {
	t.Parallel()
	for _, direct := range []bool{false, true} {
		path, _ := writeFile(t, 1<<20)
		f := mustOpen(t, path, Options{Direct: direct})
		const left = 300_000
		if err := os.Truncate(path, left); err != nil {
			t.Fatal(err)
		}
		n, err := f.ReadAt(t.Context(), make([]byte, 10_000), left-1000)
		if n != 1000 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("direct %v: ReadAt over the end = %d, %v", direct, n, err)
		}
		if at, err := f.NextData(t.Context(), left+5); at != left+5 || err != nil {
			t.Errorf("direct %v: NextData past the end = %d, %v", direct, at, err)
		}
		for _, off := range []int64{0, left + 5} {
			if at, err := f.NextHole(t.Context(), off); at != 1<<20 || err != nil {
				t.Errorf("direct %v: NextHole(%d) = %d, %v", direct, off, at, err)
			}
		}
	}
}

func TestHoles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sparse")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, off := range []int64{1 << 20, 4 << 20} {
		if _, err := w.WriteAt(bytes.Repeat([]byte{1}, 1<<16), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Truncate(8 << 20); err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, path, Options{})
	if hole, err := f.NextHole(t.Context(), 0); hole != 0 || err != nil {
		t.Skipf("needs a temporary folder on a filesystem that reports holes")
	}
	for _, c := range []struct {
		what string
		fn   func(context.Context, int64) (int64, error)
		off  int64
		want int64
		err  error
	}{
		{"data", f.NextData, 0, 1 << 20, nil},
		{"data", f.NextData, 1<<20 + 7, 1<<20 + 7, nil},
		{"data", f.NextData, 2 << 20, 4 << 20, nil},
		{"data", f.NextData, 5 << 20, 0, io.EOF},
		{"data", f.NextData, 8 << 20, 0, io.EOF},
		{"data", f.NextData, -1, 0, unix.EINVAL},
		{"hole", f.NextHole, 1 << 20, 1<<20 + 1<<16, nil},
		{"hole", f.NextHole, 5 << 20, 5 << 20, nil},
		{"hole", f.NextHole, 8 << 20, 0, io.EOF},
		{"hole", f.NextHole, -1, 0, unix.EINVAL},
	} {
		if got, err := c.fn(t.Context(), c.off); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("next %s from %d = %d, %v; want %d, %v", c.what, c.off, got, err, c.want, c.err)
		}
	}
}

func TestIdentityIsTheSameThroughALink(t *testing.T) {
	t.Parallel()
	path, _ := writeFile(t, 1)
	link := path + "-link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	other, _ := writeFile(t, 1)
	a, b, c := mustOpen(t, path, Options{}), mustOpen(t, link, Options{}), mustOpen(t, other, Options{})
	if a.Identity() != b.Identity() || a.Identity() == c.Identity() {
		t.Errorf("%v, through a link %v, another %v", a.Identity(), b.Identity(), c.Identity())
	}
}

func TestDirectFallsBackToBufferedReads(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp("/dev/shm", "block-test")
	if err != nil {
		t.Skipf("needs /dev/shm: %v", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	// Kernels since 6.6 open files on tmpfs with O_DIRECT. Reads work either way.
	p := make([]byte, 3)
	if n, err := mustOpen(t, f.Name(), Options{Direct: true}).ReadAt(t.Context(), p, 1); n != 3 || err != nil || string(p) != "ell" {
		t.Errorf("ReadAt = %d, %v, %q", n, err, p)
	}
}

func TestBlockDeviceIsReadAsItsFile(t *testing.T) {
	t.Parallel()
	path, contents := writeFile(t, 1<<20)
	device := loopmount.Attach(t, path, true)
	for _, direct := range []bool{false, true} {
		f := mustOpen(t, device.Path(), Options{Direct: direct})
		if f.Size() != 1<<20 || f.Direct() != direct || f.Identity().Rdev != device.Number() {
			t.Errorf("a block device: Size %d, Direct %v, %v", f.Size(), f.Direct(), f.Identity())
		}
		p := make([]byte, 1000)
		if _, err := f.ReadAt(t.Context(), p, 700); err != nil || string(p) != string(contents[700:1700]) {
			t.Errorf("a block device, direct %v: %v", direct, err)
		}
		if at, err := f.NextHole(t.Context(), 5); at != 1<<20 || err != nil {
			t.Errorf("a block device: NextHole = %d, %v", at, err)
		}
	}
}
