package resolve

import (
	"errors"

	"golang.org/x/sys/unix"
)

// NoAtime opens a file so that reading it leaves its access time as it is, if the kernel allows
// that, as it does to the owner and root. It calls open with flags and O_NOATIME, and if the
// error is EPERM, with flags alone.
func NoAtime(flags int, open func(flags int) (fd int, err error)) (fd int, err error) {
	fd, err = open(flags | unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) {
		fd, err = open(flags)
	}
	return fd, err
}
