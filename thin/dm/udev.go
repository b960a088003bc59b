package dm

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Udev says what udev is told about a device that comes, changes or goes.
type Udev int

const (
	// Unchanged tells it nothing new: of a device that was suspended only.
	Unchanged Udev = iota
	// Hidden keeps it from looking into the device, so that nobody else opens it,
	// and from making links for what is in it.
	Hidden
	// Public lets udev make its links, and waits until it has: afterwards it has
	// the device open no more.
	Public
)

// The flags for udev's rules, in the upper half of event_nr: libdevmapper.h's
// DM_UDEV_*.
const (
	disableSubsystemRules = 0x02
	disableDiskRules      = 0x04
	disableOtherRules     = 0x08
	primarySource         = 0x40

	udevFlagsShift = 16
)

// udevSocket is there while udev runs, and can be reached.
const udevSocket = "/run/udev/control"

// notify runs a command after which the kernel tells udev of the device.
func (c *Client) notify(ctx context.Context, op string, command uint, name string, flags uint32, data []byte, u Udev) (Info, error) {
	r, err := newRequest(name, flags, data, 0)
	if err != nil {
		return Info{}, err
	}
	var cookie *cookie
	switch u {
	case Hidden:
		r.header().Event_nr = (disableSubsystemRules | disableDiskRules | disableOtherRules | primarySource) << udevFlagsShift
	case Public:
		r.header().Event_nr = primarySource << udevFlagsShift
		if cookie = c.cookie(); cookie != nil {
			defer cookie.destroy()
			r.header().Event_nr |= cookie.number()
		}
	}
	if err := c.run(ctx, op, command, r); err != nil {
		return Info{}, err
	}
	if cookie != nil && r.header().Flags&unix.DM_UEVENT_GENERATED_FLAG != 0 {
		// It is done all the same, whatever udev does.
		if err := cookie.wait(ctx); errors.Is(err, os.ErrDeadlineExceeded) {
			c.deaf.Store(true)
		}
	}
	return r.info(), nil
}

func udevRuns() bool { return exists(udevSocket) }

// cookie is what udev tells by that it is done; nil where it does not run, or
// does not answer.
func (c *Client) cookie() *cookie {
	if !c.host || c.deaf.Load() || !udevRuns() {
		return nil
	}
	k, err := newCookie()
	if err != nil {
		return nil // without one nothing is lost but the wait
	}
	return k
}
