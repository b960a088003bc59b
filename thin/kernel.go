package thin

import (
	"context"
	"errors"
	"fmt"

	"thintree/thin/dm"
	"thintree/thin/guard"
)

// Kernel manages pools and devices with this host's device-mapper. Its methods may be called
// concurrently, except Close.
type Kernel struct {
	dm    *dm.Client
	guard resumer
	// names are locked while a device is activated, or examined and suspended. Another
	// caller could otherwise remove a half activated device, or take an origin for suspended
	// by its owner.
	names locks
}

// resumer completes what this process could not complete before it ended: see package guard.
type resumer interface {
	// Hold makes sure that a device is resumed if this process ends before release is called.
	Hold(name string) (release func(), err error)
	// HoldDevice makes sure that a device of a pool is deleted in that case, as soon as it is
	// not active.
	HoldDevice(pool string, id uint32) (release func(), err error)
	Close() error
}

// OpenKernel opens this host's device-mapper. It needs root. The caller closes the Kernel.
func OpenKernel() (*Kernel, error) {
	c, err := dm.Open()
	if err != nil {
		return nil, err
	}
	return &Kernel{dm: c, guard: guard.New()}, nil
}

// NewKernel returns a Kernel over a client, for tests. It has no guard: a device stays suspended
// if the process ends between a suspend and a resume.
func NewKernel(c *dm.Client) *Kernel { return &Kernel{dm: c, guard: unguarded{}} }

// Close closes the Kernel. Pools and devices stay as they are.
func (k *Kernel) Close() error { return errors.Join(k.guard.Close(), k.dm.Close()) }

// DM is the device-mapper client of the Kernel.
func (k *Kernel) DM() *dm.Client { return k.dm }

// suspended suspends devices, calls run, and resumes the devices whatever happens. While they are
// suspended, their filesystems are frozen and written out. run may use nothing but ioctls: a
// write, even to a log, could wait for a frozen filesystem.
func (k *Kernel) suspended(ctx context.Context, names []string, run func(ctx context.Context) error) (err error) {
	// This must not end halfway, and it does not take long.
	ctx = context.WithoutCancel(ctx)
	for _, name := range names {
		release, holdErr := k.guard.Hold(name)
		if holdErr != nil {
			return fmt.Errorf("suspend %s: %w", name, holdErr)
		}
		defer release()
		// Resume also if the suspend fails: it may have suspended the device nevertheless.
		defer func() {
			if _, e := k.dm.Resume(ctx, name, dm.Unchanged); err == nil && e != nil {
				err = e
			}
		}()
		if err := k.dm.Suspend(ctx, name, dm.SuspendOptions{}); err != nil {
			return err
		}
	}
	return run(ctx)
}

// find returns the table of a device. If the device has this UUID and no table, a killed process
// has left it half activated: find removes it, and returns [dm.ErrNotFound]. A device of another
// program would have another UUID.
func (k *Kernel) find(ctx context.Context, name, uuid string) (dm.Info, []dm.Target, error) {
	info, table, err := k.dm.Table(ctx, name)
	if err != nil || info.Active || info.UUID != uuid {
		return info, table, err
	}
	if _, err := k.dm.Remove(ctx, name, false, dm.Hidden); err != nil {
		return dm.Info{}, nil, err
	}
	return dm.Info{}, nil, fmt.Errorf("%s had no table: %w", name, dm.ErrNotFound)
}

type unguarded struct{}

func (unguarded) Hold(string) (func(), error)               { return func() {}, nil }
func (unguarded) HoldDevice(string, uint32) (func(), error) { return func() {}, nil }
func (unguarded) Close() error                              { return nil }
