package thin

import (
	"fmt"
	"syscall"
)

// NoDeviceError says that a pool has no device of an id. It unwraps to ENXIO.
type NoDeviceError struct{ ID uint32 }

func (e *NoDeviceError) Error() string {
	return fmt.Sprintf("the pool has no device %d: it was deleted, or the record that names it is of another pool", e.ID)
}

// Unwrap makes errors.Is(err, syscall.ENXIO) true.
func (e *NoDeviceError) Unwrap() error { return syscall.ENXIO }

// BeyondDataError says that a mapping leads beyond the end of the pool's data. It
// unwraps to EIO.
type BeyondDataError struct {
	Offset int64 // of the data, in bytes
	Size   int64 // how long they are, in bytes
}

func (e *BeyondDataError) Error() string {
	return fmt.Sprintf("mapped to byte %d of the pool's data, which end at %d", e.Offset, e.Size)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *BeyondDataError) Unwrap() error { return syscall.EIO }
