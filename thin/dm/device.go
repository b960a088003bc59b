package dm

import (
	"context"

	"golang.org/x/sys/unix"
)

// Info describes a device, as the kernel reports it.
type Info struct {
	Name, UUID string
	// Number is the device's number, as unix.Mkdev makes it.
	Number uint64
	// OpenCount counts what has the device open: descriptors, mounts, devices above it.
	OpenCount int
	// EventNr grows with each event: see [Client.WaitEvent].
	EventNr uint32
	// Targets is the number of targets in its table.
	Targets   int
	Suspended bool
	ReadOnly  bool
	Active    bool // it has an active table
	Inactive  bool // a table is loaded that Resume would make active
	// DeferredRemoval says that the kernel removes the device when its last user closes it.
	DeferredRemoval bool
}

// Create makes a device without a table, so without a block device. uuid may be "". The
// error is [ErrExists] if the name or the UUID is taken, a *[NameError] if either is not
// allowed.
func (c *Client) Create(ctx context.Context, name, uuid string) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	if err := checkUUID(uuid); err != nil {
		return Info{}, err
	}
	r, err := newRequest(name, 0, nil, 0)
	if err != nil {
		return Info{}, err
	}
	defer r.free()
	copy(r.header().Uuid[:], uuid)
	if err := c.run(ctx, opCreate, unix.DM_DEV_CREATE, r); err != nil {
		return Info{}, err
	}
	return r.info(), nil
}

// Remove removes a device. If the device is open the error is [ErrInUse]. With deferred,
// the kernel instead removes an open device when its last user closes it; the Info says
// whether that is still to come.
func (c *Client) Remove(ctx context.Context, name string, deferred bool, u Udev) (Info, error) {
	var flags uint32
	if deferred {
		flags = unix.DM_DEFERRED_REMOVE
	}
	return c.notify(ctx, opRemove, unix.DM_DEV_REMOVE, name, flags, nil, u)
}

// Rename renames a device. The error is [ErrExists] if the new name is taken, [ErrNotFound]
// if there is no such device.
func (c *Client) Rename(ctx context.Context, name, to string, u Udev) error {
	if err := CheckName(to); err != nil {
		return err
	}
	left := c.traces(ctx, name)
	info, err := c.notify(ctx, opRename, unix.DM_DEV_RENAME, name, 0, append([]byte(to), 0), u)
	if err != nil || !left.removeLink() {
		return err // there was no link, or udev has renamed it
	}
	return makeLink(to, info.Number)
}

// SuspendOptions say how a device is suspended. With the zero value the kernel writes out
// pending I/O and freezes the filesystem on the device, so that its contents are as
// consistent as after an unmount.
type SuspendOptions struct {
	SkipLockFS bool // do not freeze the filesystem
	NoFlush    bool // keep pending I/O until the resume
}

// Suspend stops a device's I/O until Resume; reads and writes wait. It is a no-op if the
// device is suspended.
func (c *Client) Suspend(ctx context.Context, name string, o SuspendOptions) error {
	flags := uint32(unix.DM_SUSPEND_FLAG)
	if o.SkipLockFS {
		flags |= unix.DM_SKIP_LOCKFS_FLAG
	}
	if o.NoFlush {
		flags |= unix.DM_NOFLUSH_FLAG
	}
	_, err := c.tell(ctx, "suspend", unix.DM_DEV_SUSPEND, name, flags)
	return err
}

// Resume makes the table that was loaded last active, and I/O goes on. It is a no-op if the
// device runs and no table is loaded.
func (c *Client) Resume(ctx context.Context, name string, u Udev) (Info, error) {
	return c.notify(ctx, "resume", unix.DM_DEV_SUSPEND, name, 0, nil, u)
}

// Info describes a device. It does not wait for I/O.
func (c *Client) Info(ctx context.Context, name string) (Info, error) {
	return c.tell(ctx, "info", unix.DM_DEV_STATUS, name, 0)
}
