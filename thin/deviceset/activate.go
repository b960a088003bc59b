package deviceset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
)

// removalPatience is how long a device may stay open after it was unmounted.
const removalPatience = 20 * time.Second

// activate activates a device, or finds it active. The caller has its lock.
func (s *DeviceSet) activate(ctx context.Context, d *device, kept bool) (thin.Device, error) {
	name := s.name(d.hash)
	a := thin.Activation{Name: name, UUID: uuid(name), ID: d.rec.ID, SizeBytes: d.rec.SizeBytes, Udev: dm.Hidden}
	if kept {
		a.UUID = uuid(keptPrefix + name)
	}
	for tries := 3; ; tries-- {
		active, err := s.pool.ActivateDevice(ctx, a)
		if tries > 1 && errors.Is(err, dm.ErrNotFound) {
			continue // it was active, and its last user let go of it just now
		}
		return active, err
	}
}

// deactivate deactivates a device, or is dm.ErrInUse.
func (s *DeviceSet) deactivate(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, removalPatience)
	defer cancel()
	_, err := s.kernel.RemoveDevice(ctx, name, false, dm.Hidden)
	return err
}

// letGo deactivates a device or, with deferred removal, has it go with its last
// user.
func (s *DeviceSet) letGo(ctx context.Context, name string) error {
	if !s.opts.DeferredRemoval {
		return s.deactivate(ctx, name)
	}
	_, err := s.kernel.RemoveDevice(ctx, name, true, dm.Hidden)
	return err
}

// while runs what needs a device's block device, and deactivates it where it was
// not active before. The caller has its lock.
func (s *DeviceSet) while(ctx context.Context, d *device, readOnly bool, run func(path string) error) (err error) {
	name := s.name(d.hash)
	info, err := s.kernel.DM().Info(ctx, name)
	switch {
	case err == nil && info.Suspended:
		return ErrSuspended
	case err == nil && info.Active:
		return run(dm.NodePath(info.Number))
	case err != nil && !errors.Is(err, dm.ErrNotFound):
		return err
	}
	a, err := s.pool.ActivateDevice(ctx, thin.Activation{
		Name: name, UUID: uuid(name), ID: d.rec.ID, SizeBytes: d.rec.SizeBytes, ReadOnly: readOnly, Udev: dm.Hidden,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.deactivate(context.WithoutCancel(ctx), name)) }()
	return run(a.Path())
}

// ActivateDevice makes a block device of a device, which stays until
// DeactivateDevice, and gives its path. One that is mounted already goes with its
// last mount all the same.
func (s *DeviceSet) ActivateDevice(ctx context.Context, hash string) (path string, err error) {
	d, err := s.find(ctx, hash)
	if err != nil {
		return "", err
	}
	defer d.lock.release()
	if d.rec.Deleted {
		return "", fmt.Errorf("activate %q: %w", record.File(hash), ErrDeleted)
	}
	a, err := s.activate(ctx, d, true)
	if err != nil {
		return "", fmt.Errorf("activate %q: %w", record.File(hash), err)
	}
	return a.Path(), nil
}

// DeactivateDevice ends what ActivateDevice began. A device that is mounted is
// dm.ErrInUse, as is one that somebody uses unless removal is deferred. One that is
// not active is no error.
func (s *DeviceSet) DeactivateDevice(ctx context.Context, hash string) error {
	d, err := s.find(ctx, hash)
	if err != nil {
		return err
	}
	defer d.lock.release()
	if err := s.unmounted(ctx, d); err != nil {
		return fmt.Errorf("deactivate %q: %w", record.File(hash), err)
	}
	return s.letGo(ctx, s.name(hash))
}

// SuspendDevice stops the I/O of an active device, its filesystem frozen, until
// ResumeDevice.
func (s *DeviceSet) SuspendDevice(ctx context.Context, hash string) error {
	d, err := s.find(ctx, hash)
	if err != nil {
		return err
	}
	defer d.lock.release()
	return s.kernel.SuspendDevice(ctx, s.name(hash))
}

// ResumeDevice lets it go on.
func (s *DeviceSet) ResumeDevice(ctx context.Context, hash string) error {
	if !s.HasDevice(hash) {
		return &NoDeviceError{hash}
	}
	// Without the device's lock: who has it may wait for this.
	return s.kernel.ResumeDevice(ctx, s.name(hash))
}
