package thin

import (
	"context"
	"errors"
	"fmt"

	"thintree/thin/dm"
	"thintree/thin/guard"
)

// Kernel makes pools and devices with this host's device-mapper. Its methods may
// be called concurrently, but for Close.
type Kernel struct {
	dm    *dm.Client
	guard resumer
	// names are locked while a device is activated, or looked at and suspended:
	// who finds it half done would undo it, or take it for frozen.
	names locks
}

// resumer undoes what this process leaves half done: see package guard.
type resumer interface {
	// Hold has a device resumed if this process ends before release is called.
	Hold(name string) (release func(), err error)
	// HoldDevice has a device of a pool deleted then, as soon as nobody uses it.
	HoldDevice(pool string, id uint32) (release func(), err error)
	Close() error
}

// OpenKernel opens this host's device-mapper. It takes root. Close it after use.
func OpenKernel() (*Kernel, error) {
	c, err := dm.Open()
	if err != nil {
		return nil, err
	}
	return &Kernel{dm: c, guard: guard.New()}, nil
}

// NewKernel is a Kernel over a client of the caller's, which nobody guards: a
// device stays suspended if the process ends between a suspend and a resume. It
// is for tests.
func NewKernel(c *dm.Client) *Kernel { return &Kernel{dm: c, guard: unguarded{}} }

// Close closes it. Pools and devices stay as they are.
func (k *Kernel) Close() error { return errors.Join(k.guard.Close(), k.dm.Close()) }

// DM is the client that it works with.
func (k *Kernel) DM() *dm.Client { return k.dm }

// suspended runs what is to happen while devices are suspended, their
// filesystems frozen and all written out, and resumes them whatever happens.
// Between the two there may be nothing but ioctls: a write, even to a log, could
// wait for the very filesystem that is frozen.
func (k *Kernel) suspended(ctx context.Context, names []string, run func(ctx context.Context) error) (err error) {
	// What has begun is ended, and nothing waits for long.
	ctx = context.WithoutCancel(ctx)
	for _, name := range names {
		release, holdErr := k.guard.Hold(name)
		if holdErr != nil {
			return fmt.Errorf("suspend %s: %w", name, holdErr)
		}
		defer release()
		// Also where the suspend fails: it may have been under way.
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

// find gives the table of a device. A device that was made and got no table, as a
// kill leaves it, it removes; that counts as [dm.ErrNotFound]. It is told by its
// UUID, which another program's would not have.
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
