package deviceset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"thintree/meta/record"
	"thintree/thin/dm"
)

// MountDevice activates a device and mounts it at the folder path. label is an SELinux
// context, "" for none. The mount outlives the process. It is a no-op if the device is
// mounted there already.
func (s *DeviceSet) MountDevice(ctx context.Context, hash, path, label string) error {
	d, err := s.find(ctx, hash)
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	defer d.lock.release()
	if err := s.mount(ctx, d, path, label); err != nil {
		return fmt.Errorf("mount %q: %w", record.File(hash), err)
	}
	return nil
}

func (s *DeviceSet) mount(ctx context.Context, d *device, path, label string) (err error) {
	if d.rec.Deleted {
		return ErrDeleted
	}
	if path, err = realPath(path); err != nil {
		return err
	}
	info, err := s.kernel.DM().Info(ctx, s.name(d.hash))
	switch {
	case errors.Is(err, dm.ErrNotFound):
	case err != nil:
		return err
	case info.Suspended:
		return ErrSuspended // a mount would wait for the resume
	}
	active, err := s.activate(ctx, d, false)
	if err != nil {
		return err
	}
	mounts, err := s.fs.mounts(active.Number)
	if err == nil {
		if slices.Contains(mounts, path) {
			return nil
		}
		err = s.mountAt(ctx, active.Path(), path, label)
	}
	if err != nil && len(mounts) == 0 {
		err = errors.Join(err, s.release(context.WithoutCancel(ctx), d))
	}
	return err
}

func (s *DeviceSet) mountAt(ctx context.Context, device, path, label string) error {
	fs, _, err := s.fs.identify(ctx, device)
	if err != nil {
		return err
	}
	return s.fs.mount(device, path, fs, mountOptions(fs, s.opts.MountOptions, label))
}

// realPath is a path in the form of the mount table: absolute and without links.
func realPath(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

func mountOptions(fs, options, label string) string {
	if fs == xfs {
		options = joinOptions("nouuid", options) // its snapshots have the UUID of their origin
	}
	if label != "" {
		options = joinOptions(options, fmt.Sprintf("context=%q", label))
	}
	return options
}

// UnmountDevice unmounts a device from the folder path, and deactivates the device if it
// has no other mount. If the mount is in use, and there is no deferred removal, the error
// is EBUSY and the device stays mounted. A device that is not mounted at path is
// deactivated anyway.
func (s *DeviceSet) UnmountDevice(ctx context.Context, hash, path string) error {
	d, err := s.find(ctx, hash)
	if err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	defer d.lock.release()
	if err := s.unmount(ctx, d, path); err != nil {
		return fmt.Errorf("unmount %q: %w", record.File(hash), err)
	}
	return nil
}

func (s *DeviceSet) unmount(ctx context.Context, d *device, path string) error {
	info, err := s.kernel.DM().Info(ctx, s.name(d.hash))
	if errors.Is(err, dm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	mounts, err := s.fs.mounts(info.Number)
	if err != nil {
		return err
	}
	if path, err = realPath(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if i := slices.Index(mounts, path); i >= 0 {
		if err := s.fs.unmount(path, s.opts.DeferredRemoval); err != nil {
			return err
		}
		mounts = slices.Delete(mounts, i, i+1)
	}
	if len(mounts) > 0 {
		return nil
	}
	return s.release(ctx, d)
}

// release deactivates a device that is not mounted, unless ActivateDevice activated it.
func (s *DeviceSet) release(ctx context.Context, d *device) error {
	info, err := s.kernel.DM().Info(ctx, s.name(d.hash))
	if errors.Is(err, dm.ErrNotFound) || err == nil && isKept(info) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.letGo(ctx, s.name(d.hash))
}
