package block

import "io"

// Reader is a run of bytes of a known length that may have holes. Its methods
// may be called concurrently. Offsets and lengths are in bytes.
type Reader interface {
	io.ReaderAt

	// Size is the length in bytes.
	Size() int64

	// NextData is the lowest offset ≥ off that holds data, NextHole the lowest
	// one ≥ off that lies in a hole, where the end counts as a hole: lseek(2)'s
	// SEEK_DATA and SEEK_HOLE. NextData returns io.EOF where no data follows,
	// both do for off ≥ Size.
	NextData(off int64) (int64, error)
	NextHole(off int64) (int64, error)
}
