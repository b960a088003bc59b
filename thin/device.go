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

// HasDevice tells whether the pool has a device of an id.
func (p *Pool) HasDevice(ctx context.Context, id uint32) (bool, error) {
	// What cannot succeed, and fails in a way that tells: the new device's id is in
	// use where there is such an origin.
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

// CreateDevice creates an empty device in the pool. [ErrIDInUse] says that the
// pool has one of this id.
func (p *Pool) CreateDevice(ctx context.Context, id uint32) error {
	if err := checkIDs(id); err != nil {
		return err
	}
	return p.message(ctx, map[unix.Errno]error{unix.EEXIST: ErrIDInUse}, "create_thin %d", id)
}

// CreateSnapDevice creates a device that holds what another one, the origin,
// holds now. Where the origin is active it is suspended for that moment, with the
// filesystem on it frozen, so that the snapshot is consistent; it is resumed
// whatever happens, also if this process is killed. Errors are [ErrIDInUse], a
// *[pdata.NoDeviceError] where there is no origin, and a *[PoolModeError] where the pool
// is out of data space and the origin active: writing it out would wait for space.
func (p *Pool) CreateSnapDevice(ctx context.Context, id, origin uint32) error {
	if err := checkIDs(id, origin); err != nil {
		return err
	}
	// Who comes while it is suspended must not take that for a lasting state.
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

// CreateTemporarySnapDevice is [Pool.CreateSnapDevice] of a device that is deleted
// where this process ends, also killed, before release is called: as soon as
// nobody has it active. Who has deleted it calls release.
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

// DeleteDevice deletes a device from the pool; what only it held is lost. Errors
// are [ErrActive], and a *[pdata.NoDeviceError] where there is none.
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

// writers lists the names of the devices by which an id is active, runs, and can
// be written to.
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
