package dm

import (
	"context"

	"golang.org/x/sys/unix"
)

// WaitEvent waits until a device's EventNr is another than after, and gives the
// device's Info then. A thin pool has an event when it reaches its low water
// mark, runs out of space, or fails. It is [ErrNotFound] once the device is
// removed.
func (c *Client) WaitEvent(ctx context.Context, name string, after uint32) (Info, error) {
	control, err := c.open() // what arms one wait would disturb another's
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

// WatchAll calls changed after every event of any device, also that one was made
// or removed, until ctx is done; several at once may be one call. It begins with a
// call, so that nothing is missed between it and what the caller saw before.
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

// arm has the control device tell of the events from now on.
func (c *Client) arm(ctx context.Context) error {
	_, err := c.tell(ctx, "arm poll", unix.DM_DEV_ARM_POLL, "", 0)
	return err
}
