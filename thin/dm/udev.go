package dm

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

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
	// Named is Hidden with a link by the device's name, as dmsetup makes one for each
	// device: for what is no disk, and that people use by its name.
	Named
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

// udevd is this host's udev.
type udevd struct {
	socket   string        // is there while it runs, and can be reached
	patience time.Duration // how long it may take
	deaf     atomic.Bool   // it has not answered in time: it is not waited for again
}

const (
	udevSocket = "/run/udev/control"

	// udevPatience ends the wait for a udev that cannot reach the semaphore, being
	// in another IPC namespace: it never answers.
	udevPatience = 10 * time.Second
)

// runs tells whether there is one to wait for. It may be called on nil.
func (u *udevd) runs() bool { return u != nil && exists(u.socket) }

// cookie is what it tells by that it is done; nil where it does not run, or does
// not answer.
func (u *udevd) cookie() *cookie {
	if !u.runs() || u.deaf.Load() {
		return nil
	}
	k, err := newCookie()
	if err != nil {
		return nil // without one nothing is lost but the wait
	}
	return k
}

// notify runs a command after which the kernel tells udev of the device.
func (c *Client) notify(ctx context.Context, op string, command uint, name string, flags uint32, data []byte, u Udev) (Info, error) {
	r, err := newRequest(name, flags, data, 0)
	if err != nil {
		return Info{}, err
	}
	defer r.free()
	var cookie *cookie
	switch u {
	case Hidden, Named:
		r.header().Event_nr = (disableSubsystemRules | disableDiskRules | disableOtherRules | primarySource) << udevFlagsShift
	case Public:
		r.header().Event_nr = primarySource << udevFlagsShift
	}
	if u == Named || u == Public { // udev makes a link, which is waited for
		if cookie = c.udev.cookie(); cookie != nil {
			defer cookie.destroy()
			r.header().Event_nr |= cookie.number()
		}
	}
	if err := c.run(ctx, op, command, r); err != nil {
		return Info{}, err
	}
	if cookie != nil && r.header().Flags&unix.DM_UEVENT_GENERATED_FLAG != 0 {
		// It is done all the same, whatever udev does.
		if err := cookie.wait(ctx, c.udev.patience); errors.Is(err, os.ErrDeadlineExceeded) {
			c.udev.deaf.Store(true)
		}
	}
	return r.info(), nil
}
