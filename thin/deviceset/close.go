package deviceset

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"thintree/thin/dm"
)

// Close closes the store. Active devices stay active. If there are none, Close deactivates
// the pool, unless the pool has another owner or [DeviceSet.KeepPool] was called.
func (s *DeviceSet) Close(ctx context.Context) error {
	s.stop()
	return errors.Join(s.saveNextID(ctx), s.closePool(ctx), s.kernel.Close(), s.folder.Close())
}

// closePool deactivates the store's own pool if no device in it is active.
func (s *DeviceSet) closePool(ctx context.Context) error {
	if s.own == nil {
		return nil
	}
	info, err := s.kernel.DM().Info(ctx, s.own.Name)
	switch {
	case errors.Is(err, dm.ErrNotFound):
		return nil
	case err != nil:
		return err
	case info.OpenCount > 0, isKept(info):
		return nil
	}
	return s.deactivate(ctx, s.own.Name)
}

// KeepPool keeps the pool active when this process, or a later one, closes the store. That
// ends with [DeviceSet.Shutdown] or when the pool is deactivated. If devices are active
// already, the pool is still deactivated with the last of them. KeepPool may not be called
// concurrently with any other method.
func (s *DeviceSet) KeepPool(ctx context.Context) error {
	if s.own == nil {
		return nil
	}
	info, err := s.kernel.DM().Info(ctx, s.own.Name)
	if err != nil {
		return err
	}
	if !isKept(info) && info.OpenCount == 0 {
		// The mark is in the UUID, which only a new device can get.
		if err := s.deactivate(ctx, s.own.Name); err != nil {
			return err
		}
		s.own.UUID = uuid(keptPrefix + s.own.Name)
	}
	s.own.Udev = dm.Named
	s.pool, err = s.kernel.ActivatePool(context.WithoutCancel(ctx), *s.own)
	return err
}

// keptPrefix marks the UUID of a device that was activated on its own, not for a mount.
const keptPrefix = "kept-"

func isKept(info dm.Info) bool { return strings.HasPrefix(info.UUID, uuid(keptPrefix)) }

// Shutdown unmounts and deactivates all devices, deactivates the store's own pool, and
// closes the store. With deferred removal, devices in use are deactivated once they are not
// in use any more.
func (s *DeviceSet) Shutdown(ctx context.Context) error {
	s.stop()
	active, err := s.active(ctx)
	errs := []error{err}
	for _, name := range slices.Sorted(maps.Keys(active)) {
		errs = append(errs, s.retire(ctx, name, active[name]))
	}
	if err := errors.Join(errs...); err == nil && s.own != nil {
		errs = append(errs, s.letGo(ctx, s.own.Name))
	}
	return errors.Join(append(errs, s.Close(ctx))...)
}

// retire unmounts all mounts of a device and deactivates it.
func (s *DeviceSet) retire(ctx context.Context, name string, info dm.Info) error {
	if info.Suspended {
		if err := s.kernel.ResumeDevice(ctx, name); err != nil {
			return err
		}
	}
	mounts, err := s.fs.mounts(info.Number)
	if err != nil {
		return err
	}
	for _, dir := range mounts {
		if err := s.fs.unmount(dir, s.opts.DeferredRemoval); err != nil {
			return err
		}
	}
	return s.letGo(ctx, name)
}
