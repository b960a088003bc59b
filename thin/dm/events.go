package dm

import (
	"context"

	"golang.org/x/sys/unix"
)

// WaitEvent waits until a device's EventNr differs from after, and returns the device's
// Info. A thin pool has an event when it reaches its low water mark, runs out of space, or
// fails. The error is [ErrNotFound] once the device is removed.
func (c *Client) WaitEvent(ctx context.Context, name string, after uint32) (Info, error) {
	control, err := c.open() // a control of its own: arming it would disturb other waits
	if err != nil {
		return Info{}, err
	}
	defer control.Close()
	private := &Client{control: control}
	for {
		if err := private.arm(ctx); err != nil {
			return Info{}, err
		}
		info, err := private.Info(ctx, name)
		if err != nil || info.EventNr != after {
			return info, err
		}
		if err := control.Wait(ctx); err != nil {
			return Info{}, &Error{"wait", name, err}
		}
	}
}

// WatchAll calls changed after every event of any device until ctx is done. Creating,
// renaming and removing a device are events too. Events in quick succession may share a
// call. The first call comes at once, so that the caller misses nothing that happened
// before.
func (c *Client) WatchAll(ctx context.Context, changed func()) error {
	control, err := c.open()
	if err != nil {
		return err
	}
	defer control.Close()
	private := &Client{control: control}
	for {
		if err := private.arm(ctx); err != nil {
			return err
		}
		changed()
		if err := control.Wait(ctx); err != nil {
			return &Error{"wait", "", err}
		}
	}
}

// arm makes the next Wait return at the first event from now on.
func (c *Client) arm(ctx context.Context) error {
	_, err := c.tell(ctx, "arm poll", unix.DM_DEV_ARM_POLL, "", 0)
	return err
}
