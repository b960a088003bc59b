package thin

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"thintree/thin/pdata"
)

// MaxDeviceID is the highest id that a device can have in its pool.
const MaxDeviceID = 1<<24 - 1

// HasDevice reports whether the pool has a device of an id.
func (p *Pool) HasDevice(ctx context.Context, id uint32) (bool, error) {
	// A snapshot under its origin's own id always fails, with an errno that says whether
	// the origin exists.
	err := p.message(ctx, map[unix.Errno]error{
		unix.EEXIST:  ErrIDInUse,
		unix.ENODATA: &pdata.NoDeviceError{ID: id},
	}, "create_snap %d %d", id, id)
	var missing *pdata.NoDeviceError
	switch {
	case errors.Is(err, ErrIDInUse):
		return true, nil
	case errors.As(err, &missing):
		return false, nil
	}
	return false, err
}

// CreateDevice creates an empty device in the pool. The error is [ErrIDInUse] if the pool has a
// device of this id.
func (p *Pool) CreateDevice(ctx context.Context, id uint32) error {
	if err := checkIDs(id); err != nil {
		return err
	}
	return p.message(ctx, map[unix.Errno]error{unix.EEXIST: ErrIDInUse}, "create_thin %d", id)
}

// CreateSnapDevice creates a snapshot of another device, the origin. If the origin is active, it
// is suspended for that moment and the filesystem on it is frozen, so that the snapshot is
// consistent. It is resumed whatever happens, also if this process is killed. Errors are
// [ErrIDInUse], a *[pdata.NoDeviceError] if there is no origin, and a *[PoolModeError] if the
// pool is out of data space and the origin is active, because suspending it would wait for space.
func (p *Pool) CreateSnapDevice(ctx context.Context, id, origin uint32) error {
	if err := checkIDs(id, origin); err != nil {
		return err
	}
	// A concurrent snapshot must not take the suspended origin for one that its owner has
	// suspended.
	unlock, err := p.kernel.names.lock(ctx, fmt.Sprintf("%s/%d", p.name, origin))
	if err != nil {
		return err
	}
	defer unlock()
	active, err := p.writers(ctx, origin)
	if err != nil {
		return err
	}
	if len(active) > 0 {
		s, err := p.Status(ctx)
		if err != nil {
			return err
		}
		if s.Mode == ModeOutOfDataSpace {
			return &PoolModeError{p.name, s.Mode, s.NeedsCheck}
		}
	}
	return p.kernel.suspended(ctx, active, func(ctx context.Context) error {
		return p.message(ctx, map[unix.Errno]error{
			unix.EEXIST:  ErrIDInUse,
			unix.ENODATA: &pdata.NoDeviceError{ID: origin},
		}, "create_snap %d %d", id, origin)
	})
}

// CreateTemporarySnapDevice is [Pool.CreateSnapDevice] of a snapshot that is deleted if this
// process ends or is killed before it calls release. The snapshot is then deleted as soon as it
// is not active. The caller calls release after it has deleted the snapshot itself.
func (p *Pool) CreateTemporarySnapDevice(ctx context.Context, id, origin uint32) (release func(), err error) {
	release, err = p.kernel.guard.HoldDevice(p.name, id)
	if err != nil {
		return nil, err
	}
	if err := p.CreateSnapDevice(ctx, id, origin); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// DeleteDevice deletes a device from the pool. Data that only this device has are lost. Errors are
// [ErrActive], and a *[pdata.NoDeviceError] if there is no such device.
func (p *Pool) DeleteDevice(ctx context.Context, id uint32) error {
	if err := checkIDs(id); err != nil {
		return err
	}
	return p.message(ctx, map[unix.Errno]error{
		unix.EBUSY:   ErrActive,
		unix.ENODATA: &pdata.NoDeviceError{ID: id},
	}, "delete %d", id)
}

func checkIDs(ids ...uint32) error {
	for _, id := range ids {
		if id > MaxDeviceID {
			return fmt.Errorf("device id %d: %d is the highest", id, MaxDeviceID)
		}
	}
	return nil
}

// writers lists the names under which a device is active, writable and not suspended.
func (p *Pool) writers(ctx context.Context, id uint32) ([]string, error) {
	active, err := p.Active(ctx)
	var names []string
	for _, d := range active {
		if d.ID == id && !d.Info.Suspended && !d.Info.ReadOnly {
			names = append(names, d.Name)
		}
	}
	return names, err
}
