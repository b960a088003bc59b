package extract

import (
	"errors"
	"fmt"
	"syscall"
)

// sourceError is an error of the tree that is copied from: one entry is left out,
// and the copy goes on.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func unreadable(err error) error { return &sourceError{err} }

// errTwice is a folder with two entries of one name.
var errTwice = &sourceError{fmt.Errorf("there is one of this name already in the same folder: %w", syscall.EEXIST)}

// leavesOut tells whether an error is of one entry only: it cannot be read, or
// its name or length is none that DEST's filesystem can have.
func leavesOut(err error) bool {
	var s *sourceError
	return errors.As(err, &s) || isOne(err, syscall.EFBIG, syscall.ENAMETOOLONG, syscall.EILSEQ, syscall.EINVAL)
}

// denied tells whether an error says that the user or DEST's filesystem may not
// have it. EINVAL is an owner that a user namespace has not.
func denied(err error) bool {
	return isOne(err, syscall.EPERM, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EOVERFLOW)
}

func isOne(err error, of ...syscall.Errno) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	for _, e := range of {
		if errno == e {
			return true
		}
	}
	return false
}
