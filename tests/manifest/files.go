package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"thintree/volfs"
)

// checkedSize is the size in bytes up to which CheckFile reads a whole file.
const checkedSize = 4 << 20

// CheckFile holds one regular file of a filesystem to the contract of
// volfs.File. Reads at any place return what a read of the whole does, and io.EOF at the
// end and beyond it. NextData and NextHole return within an extent or a hole what a walk
// over them does. CheckFile returns the first fault. The file must be readable.
func CheckFile(ctx context.Context, fs volfs.FS, a volfs.Attr) error {
	f, err := fs.Open(ctx, a.Ino)
	if err != nil {
		return fmt.Errorf("file %d: %w", a.Ino, err)
	}
	defer f.Close()
	extents, err := dataMap(ctx, f, a.Size)
	if err != nil {
		return fmt.Errorf("file %d: %w", a.Ino, err)
	}
	if err := checkSeeks(ctx, f, extents, a.Size); err != nil {
		return fmt.Errorf("file %d: %w", a.Ino, err)
	}
	if err := checkReads(ctx, f, extents, a.Size); err != nil {
		return fmt.Errorf("file %d: %w", a.Ino, err)
	}
	return nil
}

// checkSeeks asks at both ends and in the middle of some extents and of the
// holes after them.
func checkSeeks(ctx context.Context, f source, extents []extent, size int64) error {
	for i := 0; i < len(extents); i += 1 + len(extents)/50 {
		x, next := extents[i], extent{size, size}
		if i+1 < len(extents) {
			next = extents[i+1]
		}
		for _, off := range []int64{x.from, x.from + (x.to-x.from)/2, x.to - 1} {
			if err := expectSeeks(ctx, f, off, off, x.to, false); err != nil {
				return err
			}
		}
		for _, off := range []int64{x.to, x.to + (next.from-x.to)/2, next.from - 1} {
			if off < x.to || off >= next.from {
				continue
			}
			if err := expectSeeks(ctx, f, off, next.from, off, i+1 == len(extents)); err != nil {
				return err
			}
		}
	}
	for _, off := range []int64{size, size + 1, size + 1<<30} {
		_, err := f.NextHole(ctx, off)
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("NextHole(%d) of %d bytes: %v, want io.EOF", off, size, err)
		}
		if _, err := f.NextData(ctx, off); !errors.Is(err, io.EOF) {
			return fmt.Errorf("NextData(%d) of %d bytes: %v, want io.EOF", off, size, err)
		}
	}
	return nil
}

func expectSeeks(ctx context.Context, f source, off, data, hole int64, last bool) error {
	got, err := f.NextData(ctx, off)
	if last {
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("NextData(%d) = %d, %v, want io.EOF", off, got, err)
		}
	} else if err != nil || got != data {
		return fmt.Errorf("NextData(%d) = %d, %v, want %d", off, got, err, data)
	}
	if got, err := f.NextHole(ctx, off); err != nil || got != hole {
		return fmt.Errorf("NextHole(%d) = %d, %v, want %d", off, got, err, hole)
	}
	return nil
}

// checkReads reads in other pieces than [OfFS] does.
func checkReads(ctx context.Context, f source, extents []extent, size int64) error {
	for _, off := range []int64{size, size + 1, size + 1<<40} {
		if n, err := f.ReadAt(ctx, make([]byte, 10), off); n != 0 || err != io.EOF {
			return fmt.Errorf("ReadAt(10 bytes, %d) of %d bytes = %d, %v, want io.EOF", off, size, n, err)
		}
	}
	if n, err := f.ReadAt(ctx, make([]byte, 10), -1); n != 0 || err == nil || err == io.EOF {
		return fmt.Errorf("ReadAt(10 bytes, -1) = %d, %v, want an error", n, err)
	}
	if size > checkedSize {
		return nil
	}
	whole := make([]byte, size)
	if n, err := f.ReadAt(ctx, whole, 0); n != len(whole) || err != nil && err != io.EOF {
		return fmt.Errorf("ReadAt(%d bytes, 0) = %d, %v", size, n, err)
	}
	at := 0
	for _, x := range extents {
		if zeros := whole[at:x.from]; len(bytes.Trim(zeros, "\x00")) > 0 {
			return fmt.Errorf("the hole [%d,%d) reads as other than zeros", at, x.from)
		}
		at = int(x.to)
	}
	random := rand.New(rand.NewPCG(uint64(size), 1))
	for range min(20, size) {
		off := random.Int64N(size)
		if len(extents) > 0 && random.IntN(2) == 0 { // around where an extent begins
			off = max(0, extents[random.IntN(len(extents))].from-random.Int64N(10))
		}
		p := bytes.Repeat([]byte{0xa5}, random.IntN(20_000))
		n, err := f.ReadAt(ctx, p, off)
		want := whole[off:min(size, off+int64(len(p)))]
		if n != len(want) || !bytes.Equal(p[:n], want) {
			return fmt.Errorf("ReadAt(%d bytes, %d) of %d differs from a read of the whole, error %v", len(p), off, size, err)
		}
		if n < len(p) && err != io.EOF || n == len(p) && err != nil && err != io.EOF {
			return fmt.Errorf("ReadAt(%d bytes, %d) of %d: error %v", len(p), off, size, err)
		}
	}
	return nil
}
