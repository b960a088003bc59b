package reader

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"thintree/thin/block"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30

	// patternBytes are filled at both ends of a data block. Between them a large block is
	// a hole.
	patternBytes = 256 * kib
)

// poolSpec describes a pool for a test.
type poolSpec struct {
	blockBytes  int64
	dataBlocks  int64
	transaction uint64
	devices     []deviceSpec
}

type deviceSpec struct {
	id          uint32
	transaction uint64
	runs        []runSpec
}

// runSpec is a run of mappings, in data blocks.
type runSpec struct{ virtual, data, length, time int64 }

// mapped maps each virtual block to its data block.
func (d *deviceSpec) mapped() map[int64]int64 {
	m := make(map[int64]int64)
	for _, r := range d.runs {
		for i := range r.length {
			m[r.virtual+i] = r.data + i
		}
	}
	return m
}

// poolFiles are the paths of a pool's halves.
type poolFiles struct{ metadata, data string }

// newPool makes a pool's metadata and data. No two sectors of the data are equal, except zeros.
func newPool(t testing.TB, s poolSpec) poolFiles {
	t.Helper()
	dir := t.TempDir()
	f := poolFiles{filepath.Join(dir, "metadata"), filepath.Join(dir, "data")}
	f.format(t, s)
	f.fill(t, s)
	return f
}

// format writes a pool's metadata over the present ones.
func (f poolFiles) format(t testing.TB, s poolSpec) {
	t.Helper()
	out, err := os.OpenFile(f.metadata, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteAt(s.metadata(), 0); err != nil {
		t.Fatal(err)
	}
}

func (f poolFiles) fill(t testing.TB, s poolSpec) {
	t.Helper()
	out, err := os.Create(f.data)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Truncate(s.dataBlocks * s.blockBytes); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	part := make([]byte, min(patternBytes, s.blockBytes))
	for block := range s.dataBlocks {
		for _, at := range []int64{0, s.blockBytes - int64(len(part))} {
			random.Read(part)
			if _, err := out.WriteAt(part, block*s.blockBytes+at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// open opens the pool until the test ends.
func (f poolFiles) open(t testing.TB, o Options) *Pool {
	t.Helper()
	p, err := Open(t.Context(), block.At(f.metadata), block.At(f.data), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func openDeviceOf(t testing.TB, p *Pool, id uint32, size int64) *Device {
	t.Helper()
	d, err := p.OpenDevice(t.Context(), id, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// dataAt is n bytes of the pool's data from off on.
func (f poolFiles) dataAt(t testing.TB, off, n int64) []byte {
	t.Helper()
	in, err := os.Open(f.data)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	p := make([]byte, n)
	if _, err := in.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	return p
}

// edit changes the metadata.
func (f poolFiles) edit(t *testing.T, change func(metadata []byte)) {
	t.Helper()
	p, err := os.ReadFile(f.metadata)
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	out, err := os.OpenFile(f.metadata, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteAt(p, 0); err != nil {
		t.Fatal(err)
	}
}
