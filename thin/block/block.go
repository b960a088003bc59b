package block

import (
	"context"
)

// Reader is a run of bytes of a known length that may have holes. Its methods
// may be called concurrently. Offsets and lengths are in bytes.
type Reader interface {
	// ReadAt reads as io.ReaderAt does. The context ends a read that waits; a read
	// that it ended returns its error.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)

	// Size is the length in bytes.
	Size() int64

	// NextData is the lowest offset ≥ off that holds data, NextHole the lowest
	// one ≥ off that lies in a hole, where the end counts as a hole: lseek(2)'s
	// SEEK_DATA and SEEK_HOLE. NextData returns io.EOF where no data follows,
	// both do for off ≥ Size.
	NextData(ctx context.Context, off int64) (int64, error)
	NextHole(ctx context.Context, off int64) (int64, error)
}
