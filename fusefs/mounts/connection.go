package mounts

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Connection is the kernel's end of a mounted tree. Aborting it frees all processes that
// wait for the tree, even if the process that serves it does not answer.
type Connection struct{ abort *os.File }

// connections is the folder at which the kernel's fusectl is usually mounted.
const connections = "/sys/fs/fuse/connections"

// ConnectionOf makes a connection of a file that was [Connection.File] in another process.
func ConnectionOf(file *os.File) *Connection { return &Connection{file} }

var errUnmounted = errors.New("the tree has been unmounted meanwhile")

// Connection opens the connection of a tree. It stays the connection of this mount, even
// if a later mount gets the same device number. Root needs no mounted fusectl for it; the
// user who mounted the tree does.
func (e Entry) Connection() (*Connection, error) {
	if e.mount == nil {
		return nil, errUnmounted
	}
	c, err := connectionOf(e.mount.Minor)
	if err != nil {
		return nil, err
	}
	// If the mount is still there, the connection is the mount's and not a later one's.
	now, err := Find(e.Path)
	if err == nil && !now.same(e) {
		err = fmt.Errorf("%s: %w", e.Path, errUnmounted)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// same reports whether two entries are the same mount.
func (e Entry) same(as Entry) bool {
	a, b := e.mount, as.mount
	return a != nil && b != nil && a.ID == b.ID && a.Major == b.Major && a.Minor == b.Minor
}

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

// fusectl opens the root folder of fusectl: of a mount that is attached nowhere, or of
// the usual one if this process may not mount.
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

// Abort ends the connection. Processes that wait for the tree get ECONNABORTED, and later
// callers ENOTCONN. It is a no-op if the connection has ended.
func (c *Connection) Abort() error {
	_, err := c.abort.WriteString("1")
	return err
}

// File is the open file by which the connection is aborted.
func (c *Connection) File() *os.File { return c.abort }

// Close closes the file. The connection stays as it is.
func (c *Connection) Close() error { return c.abort.Close() }
