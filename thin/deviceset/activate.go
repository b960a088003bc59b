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

// removalPatience is how long to wait for users of a device after it was unmounted.
const removalPatience = 20 * time.Second

// activate activates a device, if it is not active. kept marks it as activated on its own.
// The caller has its lock.
func (s *DeviceSet) activate(ctx context.Context, d *device, kept bool) (thin.Device, error) {
	name := s.name(d.hash)
	a := thin.Activation{Name: name, UUID: uuid(name), ID: d.rec.ID, SizeBytes: d.rec.SizeBytes, Udev: dm.Hidden}
	if kept {
		a.UUID = uuid(keptPrefix + name)
	}
	for tries := 3; ; tries-- {
		active, err := s.pool.ActivateDevice(ctx, a)
		if tries > 1 && errors.Is(err, dm.ErrNotFound) {
			continue // it was active, and a deferred removal came just now
		}
		return active, err
	}
}

// deactivate deactivates a device. The error is dm.ErrInUse if it stays in use.
func (s *DeviceSet) deactivate(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, removalPatience)
	defer cancel()
	_, err := s.kernel.RemoveDevice(ctx, name, false, dm.Hidden)
	return err
}

// letGo deactivates a device; with deferred removal, once it is not in use.
func (s *DeviceSet) letGo(ctx context.Context, name string) error {
	if !s.opts.DeferredRemoval {
		return s.deactivate(ctx, name)
	}
	_, err := s.kernel.RemoveDevice(ctx, name, true, dm.Hidden)
	return err
}

// while activates a device if necessary, calls run with the path of its node, and
// deactivates it if it was not active before. The caller has its lock.
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

// ActivateDevice activates a device until DeactivateDevice, and returns the path of its
// node. If the device is mounted already, its last unmount deactivates it anyway.
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

// DeactivateDevice undoes ActivateDevice. The error is dm.ErrInUse if the device is
// mounted, or in use without deferred removal. It is a no-op if the device is not active.
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

// SuspendDevice stops the I/O of an active device and freezes its filesystem, until
// ResumeDevice.
func (s *DeviceSet) SuspendDevice(ctx context.Context, hash string) error {
	d, err := s.find(ctx, hash)
	if err != nil {
		return err
	}
	defer d.lock.release()
	return s.kernel.SuspendDevice(ctx, s.name(hash))
}

// ResumeDevice resumes a suspended device.
func (s *DeviceSet) ResumeDevice(ctx context.Context, hash string) error {
	if !s.HasDevice(hash) {
		return &NoDeviceError{hash}
	}
	// Without the device's lock: its holder may wait for this resume.
	return s.kernel.ResumeDevice(ctx, s.name(hash))
}
