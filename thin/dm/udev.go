package dm

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Udev says what udev should do about a device that comes, changes or goes.
type Udev int

const (
	// Unchanged leaves udev's earlier instructions, for the resume of a device that was
	// only suspended.
	Unchanged Udev = iota
	// Hidden keeps udev from opening the device and from making links for its contents.
	Hidden
	// Named is Hidden plus a link by the device's name, as dmsetup makes for each device.
	// It is for devices that people use by name but that hold no filesystem, such as a
	// pool.
	Named
	// Public asks udev for all its links, and the command waits until udev is done.
	// Afterwards udev no longer has the device open.
	Public
)

// The flags for udev's rules, in the upper half of event_nr: DM_UDEV_* of libdevmapper.h.
const (
	disableSubsystemRules = 0x02
	disableDiskRules      = 0x04
	disableOtherRules     = 0x08
	primarySource         = 0x40

	udevFlagsShift = 16
)

// udevd is this host's udev.
type udevd struct {
	socket   string        // exists while udev runs
	patience time.Duration // how long udev may take for a device
	deaf     atomic.Bool   // udev was too slow once: no command waits for it again
}

const (
	udevSocket = "/run/udev/control"

	// udevPatience bounds a wait for udev. A udev in another IPC namespace cannot reach the
	// semaphore and never answers.
	udevPatience = 10 * time.Second
)

// runs reports whether udev runs. u may be nil.
func (u *udevd) runs() bool { return u != nil && exists(u.socket) }

// cookie returns a new cookie, nil if udev does not run or does not answer.
func (u *udevd) cookie() *cookie {
	if !u.runs() || u.deaf.Load() {
		return nil
	}
	k, err := newCookie()
	if err != nil {
		return nil // the command then does not wait for udev
	}
	return k
}

// notify runs a command that makes the kernel send an event to udev.
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
	if u == Named || u == Public { // udev makes a link; wait for it
		if cookie = c.udev.cookie(); cookie != nil {
			defer cookie.destroy()
			r.header().Event_nr |= cookie.number()
		}
	}
	if err := c.run(ctx, op, command, r); err != nil {
		return Info{}, err
	}
	if cookie != nil && r.header().Flags&unix.DM_UEVENT_GENERATED_FLAG != 0 {
		// The command itself has succeeded, whatever udev does.
		if err := cookie.wait(ctx, c.udev.patience); errors.Is(err, os.ErrDeadlineExceeded) {
			c.udev.deaf.Store(true)
		}
	}
	return r.info(), nil
}
