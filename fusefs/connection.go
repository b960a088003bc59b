package fusefs

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Connection is the kernel's end of a mounted tree, by which all who wait for the
// tree can be freed although the process that serves it does not answer.
type Connection struct{ abort *os.File }

// connections is where the kernel's fusectl is usually mounted.
const connections = "/sys/fs/fuse/connections"

// ConnectionOf takes a connection over by what was [Connection.File] in another
// process.
func ConnectionOf(file *os.File) *Connection { return &Connection{file} }

// openConnection opens the connection of a mounted tree. Once open it is that of this
// mount for ever: a later mount that gets the same number has another one. Root needs
// nothing mounted for it; the user who mounted the tree can open it if fusectl is
// mounted.
func openConnection(on *mountinfo.Info) (*Connection, error) {
	c, err := connectionOf(on.Minor)
	if err != nil {
		return nil, err
	}
	// If the mount is still there the connection is its own.
	_, now, err := find(on.Mountpoint)
	if err == nil && (now == nil || now.ID != on.ID || now.Major != on.Major || now.Minor != on.Minor) {
		err = fmt.Errorf("%s: %w", on.Mountpoint, errGone)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

var errGone = errors.New("the tree has been unmounted meanwhile")

// connectionOf opens the connection that has a minor device number now.
func connectionOf(minor int) (*Connection, error) {
	dir, err := fusectl()
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	name := strconv.Itoa(minor) + "/abort"
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: connections + "/" + name, Err: err}
	}
	return &Connection{os.NewFile(uintptr(fd), connections+"/"+name)}, nil
}

// fusectl opens the folder of all connections: of a mount that is attached nowhere,
// or of the usual one.
func fusectl() (fd int, err error) {
	if fd, err = mountFusectl(); err == nil {
		return fd, nil
	}
	fd, err = unix.Open(connections, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: connections, Err: err}
	}
	return fd, nil
}

func mountFusectl() (fd int, err error) {
	fs, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
}

// Abort frees all processes that wait for the tree: they get ECONNABORTED, and later callers
// ENOTCONN. It does nothing if the connection has ended.
func (c *Connection) Abort() error {
	_, err := c.abort.WriteString("1")
	return err
}

// File is the open file that the connection is aborted by.
func (c *Connection) File() *os.File { return c.abort }

// Close lets go of the connection, which stays as it is.
func (c *Connection) Close() error { return c.abort.Close() }
