package volume

import (
	"errors"
	"syscall"
)

// unreadError is an error of reaching a volume's bytes. Its cause may be that something is
// missing on this host: a device that its owner has deactivated. That is no answer to what
// was asked of the volume: for a listing it would mean that there are no more entries, and
// for a name that there is none. So it unwraps to EIO alone.
type unreadError struct{ cause error }

func (e *unreadError) Error() string { return e.cause.Error() }
func (e *unreadError) Unwrap() error { return syscall.EIO }

// unread makes an unreadError of an error that says that something is missing.
func unread(err error) error {
	for _, missing := range []error{syscall.ENOENT, syscall.ENOTDIR} {
		if errors.Is(err, missing) {
			return &unreadError{err}
		}
	}
	return err
}
