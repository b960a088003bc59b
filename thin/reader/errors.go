package reader

import (
	"fmt"
	"syscall"
)

// BeyondDataError says that a mapping leads beyond the end of the pool's data. It
// unwraps to EIO.
type BeyondDataError struct {
	Offset int64 // in the data, in bytes
	Size   int64 // the length of the data, in bytes
}

func (e *BeyondDataError) Error() string {
	return fmt.Sprintf("mapped to byte %d of the pool's data, which end at %d", e.Offset, e.Size)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *BeyondDataError) Unwrap() error { return syscall.EIO }
