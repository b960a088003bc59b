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

// Activate makes a device with a table and lets it run. Where that fails
// nothing stays. The device's node, [NodePath], is there afterwards.
func (c *Client) Activate(ctx context.Context, s Spec) (Info, error) {
	if _, err := c.Create(ctx, s.Name, s.UUID); err != nil {
		return Info{}, err
	}
	info, err := c.start(ctx, s)
	if err != nil {
		// Also where ctx is why it failed, and where somebody looks into it.
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

// Link makes the link by name of a device that is active and may have been activated
// without it.
func (c *Client) Link(name string, number uint64) error {
	if !c.host {
		return nil
	}
	return makeLink(name, number)
}

// Deactivate removes a device, and waits as long as ctx says for those that have
// it open: a scanner that looks at each new device has it for a moment. The
// error is [ErrInUse] where they do not let go, nil where there is no device.
func (c *Client) Deactivate(ctx context.Context, name string, u Udev) error {
	once := context.WithoutCancel(ctx) // it is tried once, whatever ctx says
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

// DeactivateLater removes a device at once where nobody has it open, otherwise
// when the last user lets go of it. It tells whether it has gone already.
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
			left.removeLink() // nobody does when it goes
		}
		return false, nil
	}
	left.remove()
	return true, nil
}

// CancelDeferred keeps a device that was to go with its last user.
func (c *Client) CancelDeferred(ctx context.Context, name string) error {
	_, _, err := c.Message(ctx, name, 0, "@cancel_deferred_remove")
	return err
}
