package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// source is a file's bytes and holes, as volfs.File has them.
type source interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	NextData(ctx context.Context, off int64) (int64, error)
	NextHole(ctx context.Context, off int64) (int64, error)
}

// readSize is how much is asked for at once: odd, so that most reads begin and
// end within a block.
const readSize = 256<<10 - 37

// extent is a range of bytes [from, to).
type extent struct{ from, to int64 }

// dataMap finds the extents of data in a file of size bytes.
func dataMap(ctx context.Context, f source, size int64) ([]extent, error) {
	var extents []extent
	for off := int64(0); off < size; {
		from, err := f.NextData(ctx, off)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		to, err := f.NextHole(ctx, from)
		if err != nil {
			return nil, err
		}
		if from < off || to <= from || to > size {
			return nil, fmt.Errorf("NextData(%d) = %d, NextHole of that %d, in %d bytes", off, from, to, size)
		}
		extents = append(extents, extent{from, to})
		off = to
	}
	return extents, nil
}

func formatExtents(extents []extent) string {
	var b strings.Builder
	for i, x := range extents {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "[%d,%d)", x.from, x.to)
	}
	return b.String()
}

// content is the content column of a regular file of size bytes.
func content(ctx context.Context, f source, size int64, o Options) (string, error) {
	h := sha256.New()
	if o.SparseAbove == 0 || size <= o.SparseAbove {
		if err := hashRange(ctx, h, f, extent{0, size}); err != nil {
			return "", err
		}
		if err := expectEnd(ctx, f, size); err != nil {
			return "", err
		}
		return digest(h), nil
	}
	extents, err := dataMap(ctx, f, size)
	if err != nil {
		return "", err
	}
	for _, x := range widen(extents, size) {
		binary.Write(h, binary.LittleEndian, []int64{x.from, x.to}) // a hash never fails
		if err := hashRange(ctx, h, f, x); err != nil {
			return "", err
		}
	}
	return "sparse:" + digest(h), expectEnd(ctx, f, size)
}

func digest(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:16]) }

// widen makes each extent larger by 64 KiB on both sides and joins those that
// then meet.
func widen(extents []extent, size int64) []extent {
	const by = 64 << 10
	var wide []extent
	for _, x := range extents {
		x = extent{max(0, x.from-by), min(size, x.to+by)}
		if n := len(wide); n > 0 && wide[n-1].to >= x.from {
			wide[n-1].to = x.to
			continue
		}
		wide = append(wide, x)
	}
	return wide
}

// hashRange reads x and holds f to the contract of io.ReaderAt.
func hashRange(ctx context.Context, h hash.Hash, f source, x extent) error {
	buf := make([]byte, min(readSize, x.to-x.from))
	for off := x.from; off < x.to; {
		p := buf[:min(int64(len(buf)), x.to-off)]
		n, err := f.ReadAt(ctx, p, off)
		if n < len(p) && err == nil {
			return fmt.Errorf("ReadAt(%d bytes, %d) = %d without an error", len(p), off, n)
		}
		if n < len(p) {
			return fmt.Errorf("at byte %d: %w", off+int64(n), err)
		}
		h.Write(p)
		off += int64(n)
	}
	return nil
}

// expectEnd is nil if f ends at size.
func expectEnd(ctx context.Context, f source, size int64) error {
	if n, err := f.ReadAt(ctx, make([]byte, 1), size); n != 0 || err != io.EOF {
		return fmt.Errorf("ReadAt at the end, byte %d: %d bytes, error %v", size, n, err)
	}
	return nil
}
