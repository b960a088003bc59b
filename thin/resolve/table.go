package resolve

import (
	"io"
	"os"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// MountTable is the mount table of this process, opened so that its changes can be
// waited for. One goroutine at a time uses it.
type MountTable struct{ file *os.File }

// OpenMountTable opens the mount table.
func OpenMountTable() (*MountTable, error) {
	const path = "/proc/self/mountinfo"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &MountTable{os.NewFile(uintptr(fd), path)}, nil
}

// Read returns the mounts that the filter does not skip; a nil filter skips none.
func (t *MountTable) Read(filter mountinfo.FilterFunc) ([]*mountinfo.Info, error) {
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return mountinfo.GetMountsFromReader(t.file, filter)
}

// AwaitChange returns at the first change since it was called last, or since the
// table was opened. It may return early, if a signal interrupts it.
func (t *MountTable) AwaitChange() error {
	_, err := t.poll(-1)
	return err
}

// changed reports whether there was a change since it or AwaitChange was called last,
// or since the table was opened.
func (t *MountTable) changed() (bool, error) { return t.poll(0) }

// poll waits for a change for at most a number of milliseconds, without limit if that
// is negative.
func (t *MountTable) poll(milliseconds int) (changed bool, err error) {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(t.file.Fd()), Events: unix.POLLPRI}}, milliseconds)
	if err == unix.EINTR {
		return true, nil
	}
	return n != 0, os.NewSyscallError("poll", err)
}

// Close closes the table.
func (t *MountTable) Close() error { return t.file.Close() }
