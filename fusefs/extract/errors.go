package extract

import (
	"errors"
	"fmt"
	"syscall"
)

// sourceError is an error of one entry of the tree. The entry is left out, and the copy
// goes on.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func unreadable(err error) error { return &sourceError{err} }

// errTwice is the error of a second entry with the same name in a folder.
var errTwice = &sourceError{fmt.Errorf("another entry of the same folder has the same name: %w", syscall.EEXIST)}

// leavesOut reports whether an error concerns one entry only: the entry cannot be read, or
// DEST's filesystem cannot have its name or length.
func leavesOut(err error) bool {
	var s *sourceError
	return errors.As(err, &s) || isOne(err, syscall.EFBIG, syscall.ENAMETOOLONG, syscall.EILSEQ, syscall.EINVAL)
}

// denied reports whether an error says that an attribute or a kind of file is not permitted
// to the user or not supported by DEST's filesystem. EINVAL is the error for an owner that
// does not exist in a user namespace.
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
