package dm

import (
	"context"

	"golang.org/x/sys/unix"
)

// Info is what the kernel tells of a device.
type Info struct {
	Name, UUID string
	// Number is the device's, as unix.Mkdev makes it.
	Number uint64
	// OpenCount is how many have it open: descriptors, mounts, devices above it.
	OpenCount int
	// EventNr rises with each event: see [Client.WaitEvent].
	EventNr uint32
	// Targets is how many ranges its table has.
	Targets   int
	Suspended bool
	ReadOnly  bool
	Active    bool // it has a table
	Inactive  bool // a table is loaded that Resume would make the active one
	// DeferredRemoval says that it goes when its last user does.
	DeferredRemoval bool
}

// Create makes a device without a table, which does nothing yet. uuid may be "".
// The error is [ErrExists] where the name or the UUID is taken, a *[NameError]
// where one is no name.
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

// Remove removes a device that nobody has open; [ErrInUse] says that somebody
// has. Deferred, it goes at once or, where it is in use, with its last user: the
// Info says which.
func (c *Client) Remove(ctx context.Context, name string, deferred bool, u Udev) (Info, error) {
	var flags uint32
	if deferred {
		flags = unix.DM_DEFERRED_REMOVE
	}
	return c.notify(ctx, opRemove, unix.DM_DEV_REMOVE, name, flags, nil, u)
}

// Rename gives a device another name.
func (c *Client) Rename(ctx context.Context, name, to string, u Udev) error {
	if err := CheckName(to); err != nil {
		return err
	}
	left := c.traces(ctx, name)
	info, err := c.notify(ctx, opRename, unix.DM_DEV_RENAME, name, 0, append([]byte(to), 0), u)
	if err != nil || !left.removeLink() {
		return err // without a link, or udev has renamed it
	}
	return makeLink(to, info.Number)
}

// SuspendOptions say how a device is suspended. The zero value writes out what
// is under way and freezes the filesystem on the device, so that its contents
// are as consistent as after an unmount.
type SuspendOptions struct {
	SkipLockFS bool // leave the filesystem as it is
	NoFlush    bool // keep what is under way for after the resume
}

// Suspend stops a device's I/O until Resume; who reads or writes it waits.
// Suspending a suspended device does nothing.
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

// Resume makes the table that was loaded last the active one, and lets I/O go
// on. Resuming a device that runs does nothing.
func (c *Client) Resume(ctx context.Context, name string, u Udev) (Info, error) {
	return c.notify(ctx, "resume", unix.DM_DEV_SUSPEND, name, 0, nil, u)
}

// Info tells of a device. It waits for nothing.
func (c *Client) Info(ctx context.Context, name string) (Info, error) {
	return c.tell(ctx, "info", unix.DM_DEV_STATUS, name, 0)
}
