package deviceset

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"thintree/meta/record"
)

// What a caller of [DeviceSet] decides on.
var (
	// ErrLocked says that another process has the store open.
	ErrLocked = errors.New("another process has this store open: wait until it is done")
	// ErrDeleted says that a device is to be deleted as soon as it is free.
	ErrDeleted = errors.New("it is to be deleted as soon as nobody uses it")
	// ErrSuspended says that whoever reads a device would wait for its resume.
	ErrSuspended = errors.New("it is suspended: resume it first")
	// ErrInUse says that a volume was given out and not given back.
	ErrInUse = errors.New("the volume is in use")
)

// NoDeviceError says that the store has no device of a name. It unwraps to
// fs.ErrNotExist.
type NoDeviceError struct{ Hash string }

func (e *NoDeviceError) Error() string {
	return fmt.Sprintf("no device %q in this store", record.File(e.Hash))
}

// Unwrap makes errors.Is(err, fs.ErrNotExist) true.
func (e *NoDeviceError) Unwrap() error { return fs.ErrNotExist }

// ExistsError says that the store has a device of a name already. It unwraps to
// fs.ErrExist.
type ExistsError struct{ Hash string }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("the store has a device %q already", record.File(e.Hash))
}

// Unwrap makes errors.Is(err, fs.ErrExist) true.
func (e *ExistsError) Unwrap() error { return fs.ErrExist }

// SpaceError says that the pool has less free than a new device needs:
// dm.min_free_space. It unwraps to ENOSPC.
type SpaceError struct {
	What         string // "data" or "metadata"
	Free, Blocks uint64
	MinPercent   uint64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("the pool has %d of %d %s blocks free, less than %d %%: delete something, grow the pool, or allow for less (dm.min_free_space)",
		e.Free, e.Blocks, e.What, e.MinPercent)
}

// Unwrap makes errors.Is(err, syscall.ENOSPC) true.
func (e *SpaceError) Unwrap() error { return syscall.ENOSPC }

// SettledError says that an option asks for something else than what is there, which
// it cannot change.
type SettledError struct {
	Option string // as given
	Is     string // what is there
}

func (e *SettledError) Error() string {
	return fmt.Sprintf("option %q has no effect: %s", e.Option, e.Is)
}

// BaseError says that the base device is not the one that was recorded.
type BaseError struct{ Recorded, Found string }

func (e *BaseError) Error() string {
	return fmt.Sprintf("the base device's filesystem has UUID %s, and %s is recorded: the pool is another store's", e.Found, e.Recorded)
}
