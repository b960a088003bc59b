package thin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30

	metadataBytes = 1 * mib

	// patternBytes of a data block are filled at both of its ends; a large one is
	// a hole between them.
	patternBytes = 256 * kib
)

// poolSpec is a pool that a test wants to have.
type poolSpec struct {
	blockBytes int64
	dataBlocks int64
	devices    []deviceSpec
}

type deviceSpec struct {
	id          uint32
	transaction uint64
	runs        []runSpec
}

// runSpec is a run of mappings, in data blocks.
type runSpec struct{ virtual, data, length, time int64 }

// mapped gives the data block of each virtual one.
func (d *deviceSpec) mapped() map[int64]int64 {
	m := make(map[int64]int64)
	for _, r := range d.runs {
		for i := range r.length {
			m[r.virtual+i] = r.data + i
		}
	}
	return m
}

// xml is the pool in the form that thin_restore reads.
func (s poolSpec) xml() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<superblock uuid="" time="9" transaction="1" flags="0" version="2" data_block_size="%d" nr_data_blocks="%d">`,
		s.blockBytes/sectorBytes, s.dataBlocks)
	for _, d := range s.devices {
		fmt.Fprintf(&b, `<device dev_id="%d" mapped_blocks="%d" transaction="%d" creation_time="0" snap_time="0">`, d.id, len(d.mapped()), d.transaction)
		for _, r := range d.runs {
			fmt.Fprintf(&b, `<range_mapping origin_begin="%d" data_begin="%d" length="%d" time="%d"/>`, r.virtual, r.data, r.length, r.time)
		}
		b.WriteString("</device>")
	}
	b.WriteString("</superblock>\n")
	return b.String()
}

// poolFiles are the halves of a pool, in files of their own.
type poolFiles struct{ metadata, data string }

// newPool makes a pool's metadata, and data in which no two sectors are equal
// that are not zeros.
func newPool(t *testing.T, s poolSpec) poolFiles {
	t.Helper()
	dir := t.TempDir()
	f := poolFiles{filepath.Join(dir, "metadata"), filepath.Join(dir, "data")}
	f.restore(t, s)
	f.fill(t, s)
	return f
}

// restore writes a pool's metadata by thin_restore.
func (f poolFiles) restore(t testing.TB, s poolSpec) {
	t.Helper()
	program, err := exec.LookPath("thin_restore")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/thin_restore"); err != nil {
			t.Skip("needs thin_restore: not here")
		}
	}
	in := f.metadata + ".xml"
	if err := os.WriteFile(in, []byte(s.xml()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(f.metadata, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Truncate(metadataBytes); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command(program, "-q", "-i", in, "-o", f.metadata).CombinedOutput(); err != nil {
		if bytes.Contains(text, []byte("Invalid argument")) {
			t.Skip("needs a temporary folder with O_DIRECT, as tmpfs has none")
		}
		t.Fatalf("thin_restore: %v\n%s", err, text)
	}
}

func (f poolFiles) fill(t *testing.T, s poolSpec) {
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
func (f poolFiles) open(t *testing.T, o ReaderOptions) *PoolReader {
	t.Helper()
	p, err := OpenPoolReader(t.Context(), f.metadata, f.data, o)
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

func openDeviceOf(t *testing.T, p *PoolReader, id uint32, size int64) *DeviceReader {
	t.Helper()
	d, err := p.OpenDevice(t.Context(), id, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// dataAt is what lies in a pool's data.
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

const (
	metadataBlock  = 4096
	superblockSalt = 160774
	nodeSalt       = 121107
)

var le = binary.LittleEndian

func checksum(p []byte, salt uint32) uint32 {
	return ^crc32.Checksum(p[4:metadataBlock], crc32.MakeTable(crc32.Castagnoli)) ^ salt
}

// edit lets a test change the metadata.
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

// hold makes the pool hold a metadata snapshot of what it is now.
func hold(metadata []byte) {
	const (
		at        = metadataBytes/metadataBlock - 1 // free for sure
		heldRoot  = 56
		spaceMaps = 64
		mappings  = 320
	)
	super, held := metadata[:metadataBlock], metadata[at*metadataBlock:][:metadataBlock]
	copy(held, super)
	le.PutUint64(held[8:], at)
	clear(held[heldRoot:mappings])
	le.PutUint32(held, checksum(held, superblockSalt))
	le.PutUint64(super[heldRoot:], at)
	le.PutUint32(super, checksum(super, superblockSalt))
}

// leafOf is the leaf that maps a virtual block to a data block.
func leafOf(t *testing.T, metadata []byte, virtual, data int64) []byte {
	t.Helper()
	for p := range slices.Chunk(metadata, metadataBlock) {
		const leaf, mapping = 2, 8
		if le.Uint32(p) != checksum(p, nodeSalt) || le.Uint32(p[4:]) != leaf || le.Uint32(p[24:]) != mapping {
			continue
		}
		nr, room := int(le.Uint32(p[16:])), int(le.Uint32(p[20:]))
		for i := range nr {
			if le.Uint64(p[32+8*i:]) == uint64(virtual) && le.Uint64(p[32+8*(room+i):])>>24 == uint64(data) {
				return p
			}
		}
	}
	t.Fatalf("no leaf maps block %d to %d", virtual, data)
	return nil
}
