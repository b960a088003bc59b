package thin

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// Errors that a caller of [Pool] can decide on.
var (
	// ErrNoPool says that a device-mapper device is not a thin pool.
	ErrNoPool = errors.New("it is not a thin pool")
	// ErrIDInUse says that the pool has a device of this id already.
	ErrIDInUse = errors.New("the pool has a device of this id already: choose another one, or delete it first")
	// ErrActive says that a device cannot be deleted while it is active.
	ErrActive = errors.New("the device is active: deactivate it first")
	// ErrTransactionID says that the pool's transaction id is not the expected one: another
	// program changes the pool.
	ErrTransactionID = errors.New("the pool's transaction id is not the expected one: another program changes this pool")
	// ErrHeld says that the pool holds a metadata snapshot already. It can hold only one.
	ErrHeld = errors.New("the pool holds a metadata snapshot already: wait, or release it if it is not needed")
	// ErrNotHeld says that the pool holds no metadata snapshot.
	ErrNotHeld = errors.New("the pool holds no metadata snapshot")
	// ErrOutOfMetadata says that there is no room for more metadata.
	ErrOutOfMetadata = errors.New("the pool's metadata are full: grow them (thintree pool grow --metadata-size)")
)

// InUseError says that the file or block device of a pool is in use.
type InUseError struct {
	Path string
	By   string // the user: a device of this host, or for example a mount
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s: %s has it active: two pools over the same metadata or data destroy each other; use that one, or deactivate it", e.Path, e.By)
}

// Unwrap makes errors.Is(err, unix.EBUSY) true.
func (e *InUseError) Unwrap() error { return unix.EBUSY }

// NotEmptyError says that a file or block device for a new pool holds something.
type NotEmptyError struct {
	Path string
	What string // "a thin pool with 12 devices", "data"
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("%s: it holds %s, which a new pool would destroy", e.Path, e.What)
}

// Unwrap makes errors.Is(err, unix.EEXIST) true.
func (e *NotEmptyError) Unwrap() error { return unix.EEXIST }

// TooShortError says that a pool's half is shorter than its metadata say, or too short for a new
// pool.
type TooShortError struct {
	Path        string
	Bytes, Want int64
}

func (e *TooShortError) Error() string {
	return fmt.Sprintf("%s: it has %d bytes, and the pool needs %d: it was truncated, is of another pool, or is too short for a new one", e.Path, e.Bytes, e.Want)
}

// Unwrap makes errors.Is(err, unix.EINVAL) true.
func (e *TooShortError) Unwrap() error { return unix.EINVAL }

// DiffersError says that a pool or device is active already, but differs from the requested one.
// It unwraps to dm.ErrExists.
type DiffersError struct {
	Name    string   // of the device-mapper device
	Differs []string // "it is not read-only"
}

func (e *DiffersError) Error() string {
	return fmt.Sprintf("%s is active already, and %s: deactivate it first, or do not ask for that", e.Name, strings.Join(e.Differs, ", "))
}

// Unwrap makes errors.Is(err, dm.ErrExists) true.
func (e *DiffersError) Unwrap() error { return dm.ErrExists }

// PoolModeError says that the mode of a pool does not allow an operation.
type PoolModeError struct {
	Pool       string
	Mode       PoolMode
	NeedsCheck bool
}

func (e *PoolModeError) Error() string {
	why := "it is " + string(e.Mode)
	switch {
	case e.NeedsCheck:
		why = "a change of its metadata could not be written down (needs_check), because they are full or damaged: deactivate it, let thin_check look at a copy of them, clear the flag (--clear-needs-check-flag) or repair them, and grow what is full"
	case e.Mode == ModeFailed || e.Mode == ModeError:
		why = "it has failed: the kernel's log says why; deactivate it, and let thin_check look at its metadata"
	case e.Mode == ModeReadOnly:
		why = "it is read-only: it was activated read-only, or its metadata are full"
	case e.Mode == ModeOutOfDataSpace:
		why = "it is out of data space: grow it (thintree pool grow --data-size)"
	}
	return fmt.Sprintf("pool %s: %s", e.Pool, why)
}

// Unwrap makes errors.Is(err, unix.EROFS) true.
func (e *PoolModeError) Unwrap() error { return unix.EROFS }
