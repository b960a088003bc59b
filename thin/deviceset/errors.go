package deviceset

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"thintree/meta/record"
)

// The errors that a caller may decide on.
var (
	// ErrLocked says that another process has the store open.
	ErrLocked = errors.New("another process has this store open: wait until it is done")
	// ErrDeleted says that a device is marked for deferred deletion.
	ErrDeleted = errors.New("it will be deleted once it is not in use")
	// ErrSuspended says that a device is suspended, so that reads of it would wait.
	ErrSuspended = errors.New("it is suspended: resume it first")
	// ErrInUse says that a volume has a [Driver.Get] without a [Driver.Put].
	ErrInUse = errors.New("the volume is in use")
)

// NoDeviceError says that the store has no device with the hash. It unwraps to
// fs.ErrNotExist.
type NoDeviceError struct{ Hash string }

func (e *NoDeviceError) Error() string {
	return fmt.Sprintf("no device %q in this store", record.File(e.Hash))
}

// Unwrap makes errors.Is(err, fs.ErrNotExist) true.
func (e *NoDeviceError) Unwrap() error { return fs.ErrNotExist }

// ExistsError says that the store already has a device with the hash. It unwraps to
// fs.ErrExist.
type ExistsError struct{ Hash string }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("the store already has a device %q", record.File(e.Hash))
}

// Unwrap makes errors.Is(err, fs.ErrExist) true.
func (e *ExistsError) Unwrap() error { return fs.ErrExist }

// SpaceError says that the pool has less free space than dm.min_free_space requires for a
// new device. It unwraps to ENOSPC.
type SpaceError struct {
	What         string // "data" or "metadata"
	Free, Blocks uint64
	MinPercent   uint64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("the pool has %d of %d %s blocks free, less than %d %%: delete devices, grow the pool, or lower dm.min_free_space",
		e.Free, e.Blocks, e.What, e.MinPercent)
}

// Unwrap makes errors.Is(err, syscall.ENOSPC) true.
func (e *SpaceError) Unwrap() error { return syscall.ENOSPC }

// SettledError says that an option for the creation of something differs from what exists.
type SettledError struct {
	Option string // NAME=VALUE, as given
	Is     string // a description of what exists
}

func (e *SettledError) Error() string {
	return fmt.Sprintf("option %q has no effect: %s", e.Option, e.Is)
}

// BaseError says that the base device's filesystem has another UUID than the recorded one.
type BaseError struct{ Recorded, Found string }

func (e *BaseError) Error() string {
	return fmt.Sprintf("the base device's filesystem has UUID %s, but %s is recorded: this is the pool of another store", e.Found, e.Recorded)
}
