package thin

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// What a caller of [Pool] decides on.
var (
	// ErrNoPool says that a device-mapper device is no thin pool.
	ErrNoPool = errors.New("it is no thin pool")
	// ErrIDInUse says that the pool has a device of this id already.
	ErrIDInUse = errors.New("the pool has a device of this id already: choose another one, or delete it first")
	// ErrActive says that a device cannot be deleted while it is active.
	ErrActive = errors.New("the device is active: deactivate it first")
	// ErrTransactionID says that the pool's transaction id is not what the caller
	// took it for: somebody else changes the pool.
	ErrTransactionID = errors.New("the pool's transaction id is another one: somebody else changes this pool")
	// ErrHeld says that somebody holds a metadata snapshot; a pool has one only.
	ErrHeld = errors.New("somebody holds the pool's metadata snapshot: wait, or release it if nobody needs it")
	// ErrNotHeld says that no metadata snapshot is held.
	ErrNotHeld = errors.New("the pool has no metadata snapshot")
	// ErrOutOfMetadata says that there is no room for more metadata.
	ErrOutOfMetadata = errors.New("the pool's metadata are full: grow them (thintree pool grow --metadata-size)")
)

// InUseError says that somebody has the file or block device of a pool active.
type InUseError struct {
	Path string
	By   string // a device of this host
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s: %s has it active: two pools over the same metadata or data destroy each other; use that one, or deactivate it", e.Path, e.By)
}

// Unwrap makes errors.Is(err, unix.EBUSY) true.
func (e *InUseError) Unwrap() error { return unix.EBUSY }

// NotEmptyError says that what a pool is to be made on holds something.
type NotEmptyError struct {
	Path string
	What string // "a thin pool with 12 devices", "data"
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("%s: it holds %s, which a new pool would destroy", e.Path, e.What)
}

// Unwrap makes errors.Is(err, unix.EEXIST) true.
func (e *NotEmptyError) Unwrap() error { return unix.EEXIST }

// TooShortError says that a pool's half is shorter than its metadata say, or than
// a new pool needs.
type TooShortError struct {
	Path        string
	Bytes, Want int64
}

func (e *TooShortError) Error() string {
	return fmt.Sprintf("%s: it has %d bytes, and the pool needs %d: a file that was cut off, or of another pool, or too small for a new one", e.Path, e.Bytes, e.Want)
}

// Unwrap makes errors.Is(err, unix.EINVAL) true.
func (e *TooShortError) Unwrap() error { return unix.EINVAL }

// DiffersError says that a pool or device is active under the name already, and not
// as it was asked for. It unwraps to dm.ErrExists.
type DiffersError struct {
	Name    string   // of the device-mapper device
	Differs []string // "it is not read-only"
}

func (e *DiffersError) Error() string {
	return fmt.Sprintf("%s is active already, and %s: deactivate it first, or do not ask for that", e.Name, strings.Join(e.Differs, ", "))
}

// Unwrap makes errors.Is(err, dm.ErrExists) true.
func (e *DiffersError) Unwrap() error { return dm.ErrExists }

// PoolModeError says that a pool's mode does not allow what was asked for.
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
		why = "it is read-only: it was activated so, or its metadata are full"
	case e.Mode == ModeOutOfDataSpace:
		why = "it is out of data space: grow it (thintree pool grow --data-size)"
	}
	return fmt.Sprintf("pool %s: %s", e.Pool, why)
}

// Unwrap makes errors.Is(err, unix.EROFS) true.
func (e *PoolModeError) Unwrap() error { return unix.EROFS }
