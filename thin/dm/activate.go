package dm

import (
	"context"
	"errors"
	"time"
)

// Spec is a device to activate.
type Spec struct {
	Name     string
	UUID     string // "" for none
	Table    []Target
	ReadOnly bool
	Udev     Udev // Hidden, Named or Public
}

// Activate creates a device, loads its table and resumes it. Afterwards the device's node,
// [NodePath], exists. If a step fails the device is removed again.
func (c *Client) Activate(ctx context.Context, s Spec) (Info, error) {
	if _, err := c.Create(ctx, s.Name, s.UUID); err != nil {
		return Info{}, err
	}
	info, err := c.start(ctx, s)
	if err != nil {
		// Also if ctx ended, and if a scanner has the device open.
		_, undo := c.DeactivateLater(context.WithoutCancel(ctx), s.Name, Hidden)
		return Info{}, errors.Join(err, undo)
	}
	return info, nil
}

func (c *Client) start(ctx context.Context, s Spec) (Info, error) {
	if err := c.Load(ctx, s.Name, s.Table, s.ReadOnly); err != nil {
		return Info{}, err
	}
	info, err := c.Resume(ctx, s.Name, s.Udev)
	if err != nil || !c.host {
		return info, err
	}
	if err := makeNode(info.Number); err != nil {
		return Info{}, err
	}
	if s.Udev == Named || s.Udev == Public {
		return info, makeLink(s.Name, info.Number)
	}
	return info, nil
}

// Link makes the link /dev/mapper/NAME of an active device, if it is missing.
func (c *Client) Link(name string, number uint64) error {
	if !c.host {
		return nil
	}
	return makeLink(name, number)
}

// Deactivate removes a device. While the device is open it tries again until ctx ends: a
// scanner that looks at each new device has it open for a moment. The error is [ErrInUse]
// if the device stays open, nil if there is no such device.
func (c *Client) Deactivate(ctx context.Context, name string, u Udev) error {
	once := context.WithoutCancel(ctx) // at least one try, even if ctx has ended
	left := c.traces(once, name)
	for pause := time.Millisecond; ; pause = min(2*pause, maxPause) {
		_, err := c.Remove(once, name, false, u)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err == nil:
			left.remove()
			return nil
		case !errors.Is(err, ErrInUse):
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

const maxPause = 100 * time.Millisecond

// DeactivateLater removes a device at once if it is not open, otherwise when its last user
// closes it. It reports whether the device is gone already.
func (c *Client) DeactivateLater(ctx context.Context, name string, u Udev) (gone bool, err error) {
	left := c.traces(ctx, name)
	info, err := c.Remove(ctx, name, true, u)
	switch {
	case errors.Is(err, ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	case info.DeferredRemoval:
		if !c.udev.runs() {
			left.removeLink() // without udev nothing else removes it later
		}
		return false, nil
	}
	left.remove()
	return true, nil
}

// CancelDeferred undoes [Client.DeactivateLater] for a device that is still open.
func (c *Client) CancelDeferred(ctx context.Context, name string) error {
	_, _, err := c.Message(ctx, name, 0, "@cancel_deferred_remove")
	return err
}
