package dm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What a caller decides on: errors.Is of an *[Error].
var (
	// ErrNotFound says that there is no device of this name.
	ErrNotFound = errors.New("no such device-mapper device")
	// ErrExists says that a device has this name, or UUID, already.
	ErrExists = errors.New("a device-mapper device of this name or UUID is there already")
	// ErrInUse says that a device cannot be removed, because it is open, mounted,
	// or beneath another one.
	ErrInUse = errors.New("the device-mapper device is in use")
)

// Error is a command that failed. It unwraps to the kernel's errno.
type Error struct {
	Op   string // "create", "remove", "load", …
	Name string // the device's, "" where it is about none
	Err  error
}

func (e *Error) Error() string {
	what := e.Op
	if e.Name != "" {
		what += " " + e.Name
	}
	switch {
	case e.is(ErrNotFound):
		return fmt.Sprintf("device-mapper: %s: %v", what, ErrNotFound)
	case e.is(ErrExists):
		return fmt.Sprintf("device-mapper: %s: %v", what, ErrExists)
	case e.is(ErrInUse):
		return fmt.Sprintf("device-mapper: %s: %v: close what has it open (or is mounted from it) first", what, ErrInUse)
	case e.Op == opLoad && e.Err == unix.EINVAL:
		return fmt.Sprintf("device-mapper: %s: the kernel refused the table (its log says why)", what)
	}
	return fmt.Sprintf("device-mapper: %s: %v", what, e.Err)
}

// Unwrap gives the errno.
func (e *Error) Unwrap() error { return e.Err }

// Is tells which of the errors above this one is.
func (e *Error) Is(target error) bool { return e.is(target) }

func (e *Error) is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Err == unix.ENXIO && e.Op != opLoad // where one beneath can be missing
	case ErrExists:
		return e.Err == unix.EBUSY && (e.Op == opCreate || e.Op == opRename)
	case ErrInUse:
		return e.Err == unix.EBUSY && e.Op == opRemove
	}
	return false
}

// The commands that errors are told apart by.
const (
	opCreate  = "create"
	opRename  = "rename"
	opRemove  = "remove"
	opLoad    = "load"
	opMessage = "message"
)

// NameError is a name or UUID that a device cannot have.
type NameError struct {
	Name string
	Why  string
}

func (e *NameError) Error() string { return fmt.Sprintf("device name %.140q: %s", e.Name, e.Why) }

// Unwrap makes errors.Is(err, unix.EINVAL) true.
func (e *NameError) Unwrap() error { return unix.EINVAL }
