package block

import (
	"context"
)

// Reader reads bytes of a known length that may have holes. Its methods may be called
// concurrently. Offsets and lengths are in bytes.
type Reader interface {
	// ReadAt reads as io.ReaderAt does. If the context ends while a read waits, the read
	// returns the context's error.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)

	// Size is the length in bytes.
	Size() int64

	// NextData is the lowest offset ≥ off that holds data, as lseek(2) with SEEK_DATA.
	// NextHole is the lowest offset ≥ off that lies in a hole, as with SEEK_HOLE; the end
	// counts as a hole. NextData returns io.EOF if no data follow. Both return io.EOF if
	// off ≥ Size.
	NextData(ctx context.Context, off int64) (int64, error)
	NextHole(ctx context.Context, off int64) (int64, error)
}
