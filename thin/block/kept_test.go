package block

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// counted counts the reads of a Reader. Reads beyond the offset damaged fail.
type counted struct {
	Reader
	reads   int
	damaged int64
}

var errDamaged = errors.New("damaged")

func (c *counted) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	c.reads++
	if off+int64(len(p)) > c.damaged {
		return 0, errDamaged
	}
	return c.Reader.ReadAt(ctx, p, off)
}

func TestKeptReadsEachPieceOnce(t *testing.T) {
	t.Parallel()
	path, contents := writeFile(t, 200_001)
	c := &counted{Reader: mustOpen(t, path, Options{}), damaged: 1 << 40}
	k := Keep(c, 8<<10)
	for range 500 {
		off := rand.Int64N(210_000)
		p := make([]byte, rand.IntN(100_000))
		n, err := k.ReadAt(t.Context(), p, off)
		want := contents[min(off, int64(len(contents))):min(off+int64(len(p)), int64(len(contents)))]
		if !bytes.Equal(p[:n], want) {
			t.Fatalf("%d bytes at %d are wrong", len(p), off)
		}
		if short := n < len(p); short != errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d: %d, %v", len(p), off, n, err)
		}
	}
	before := c.reads
	if _, err := k.ReadAt(t.Context(), make([]byte, len(contents)), 0); err != nil || c.reads != before {
		t.Errorf("kept pieces were read again, %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	p := make([]byte, 1000)
	if _, err := k.ReadAt(t.Context(), p, 5000); err != nil || c.reads == before || !bytes.Equal(p, contents[5000:6000]) {
		t.Errorf("after Close: %v", err)
	}
}

func TestKeptReadsBytesBesideDamage(t *testing.T) {
	t.Parallel()
	path, contents := writeFile(t, 200_000)
	k := Keep(&counted{Reader: mustOpen(t, path, Options{}), damaged: 100_000}, 64<<10)
	p := make([]byte, 1000)
	if _, err := k.ReadAt(t.Context(), p, 99_000); err != nil || !bytes.Equal(p, contents[99_000:100_000]) {
		t.Errorf("before the damage, in the same piece: %v", err)
	}
	if _, err := k.ReadAt(t.Context(), p, 99_500); !errors.Is(err, errDamaged) {
		t.Errorf("into the damage: %v", err)
	}
	for range 100 {
		if _, err := k.ReadAt(t.Context(), p, 150_000); !errors.Is(err, errDamaged) {
			t.Errorf("in the damage: %v", err)
		}
	}
	if len(k.memory) > 1 {
		t.Errorf("pieces that cannot be read take memory: %d times %d bytes", len(k.memory), memoryBytes)
	}
}
