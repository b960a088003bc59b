package volume

import (
	"errors"
	"syscall"
)

// unreadError says that a volume's bytes cannot be reached because something is missing on
// this host, such as a device that its owner has deactivated. It unwraps to EIO and not to its
// cause: a caller would take ENOENT for the answer that a directory has no more entries, or
// that a name does not exist.
type unreadError struct{ cause error }

func (e *unreadError) Error() string { return e.cause.Error() }
func (e *unreadError) Unwrap() error { return syscall.EIO }

// unread returns an unreadError if err says that something is missing, and otherwise err.
func unread(err error) error {
	for _, missing := range []error{syscall.ENOENT, syscall.ENOTDIR} {
		if errors.Is(err, missing) {
			return &unreadError{err}
		}
	}
	return err
}
