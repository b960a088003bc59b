package dm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The errors that a caller may decide on. An *[Error] matches them by errors.Is.
var (
	// ErrNotFound says that no device has this name.
	ErrNotFound = errors.New("no such device-mapper device")
	// ErrExists says that a device already has this name or UUID.
	ErrExists = errors.New("a device-mapper device of this name or UUID exists already")
	// ErrInUse says that a device cannot be removed because it is open, mounted, or below
	// another device.
	ErrInUse = errors.New("the device-mapper device is in use")
)

// Error says that a command failed. It unwraps to the kernel's errno.
type Error struct {
	Op   string // "create", "remove", "load", …
	Name string // the device's, "" if the command is about no device
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
		return fmt.Sprintf("device-mapper: %s: %v: unmount it and close what has it open first", what, ErrInUse)
	case e.Op == opLoad && e.Err == unix.EINVAL:
		return fmt.Sprintf("device-mapper: %s: the kernel refused the table (its log says why)", what)
	}
	return fmt.Sprintf("device-mapper: %s: %v", what, e.Err)
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether the error is one of [ErrNotFound], [ErrExists] and [ErrInUse].
func (e *Error) Is(target error) bool { return e.is(target) }

func (e *Error) is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Err == unix.ENXIO && e.Op != opLoad // a load may miss a device below this one
	case ErrExists:
		return e.Err == unix.EBUSY && (e.Op == opCreate || e.Op == opRename)
	case ErrInUse:
		return e.Err == unix.EBUSY && e.Op == opRemove
	}
	return false
}

// The commands that decide what an errno means.
const (
	opCreate  = "create"
	opRename  = "rename"
	opRemove  = "remove"
	opLoad    = "load"
	opMessage = "message"
)

// NameError says that a name or UUID is not allowed.
type NameError struct {
	Name string
	Why  string
}

func (e *NameError) Error() string { return fmt.Sprintf("device name %.140q: %s", e.Name, e.Why) }

// Unwrap makes errors.Is(err, unix.EINVAL) true.
func (e *NameError) Unwrap() error { return unix.EINVAL }
