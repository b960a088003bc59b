package thin

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/pdata"
	"thintree/thin/resolve"
)

// Device is a thin device that is active in the kernel.
type Device struct {
	Name   string // of the device-mapper device
	Number uint64 // its number, as unix.Mkdev makes it
	ID     uint32 // in the pool
}

// Path is the path of its block device.
func (d Device) Path() string { return dm.NodePath(d.Number) }

// Activation says which device is activated, and how.
type Activation struct {
	Name, UUID string // of the device-mapper device; UUID may be ""
	ID         uint32 // in the pool
	SizeBytes  int64  // the device's length, a multiple of 512; the pool does not store it
	ReadOnly   bool
	// Origin is the path of an external origin, "" for none: a block device from which
	// unmapped blocks are read. It must not be written to.
	Origin string
	// Udev says whether the device is hidden from udev: dm.Hidden or dm.Public. The zero
	// value is dm.Hidden.
	Udev dm.Udev
}

// ActivateDevice activates a device of the pool. If it is active in just this way already, it is
// returned as it is. An id may be active under several names, but only for reading: writes under
// one name are not seen under another. Errors are a *[pdata.NoDeviceError], a *[DiffersError],
// and [dm.ErrExists] if another device has the name.
func (p *Pool) ActivateDevice(ctx context.Context, a Activation) (Device, error) {
	if err := checkIDs(a.ID); err != nil {
		return Device{}, err
	}
	if a.SizeBytes <= 0 || a.SizeBytes%blockdev.SectorBytes != 0 {
		return Device{}, fmt.Errorf("device %d: a length of %d bytes: it must be a positive multiple of %d", a.ID, a.SizeBytes, blockdev.SectorBytes)
	}
	t := deviceTable{sectors: uint64(a.SizeBytes) / blockdev.SectorBytes, pool: p.number, id: a.ID}
	if a.Origin != "" {
		st, err := resolve.Stat(a.Origin)
		if err != nil {
			return Device{}, err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return Device{}, fmt.Errorf("%s: an origin must be a block device", a.Origin)
		}
		t.origin = st.Rdev
	}
	spec := dm.Spec{Name: a.Name, UUID: a.UUID, Table: []dm.Target{t.target()}, ReadOnly: a.ReadOnly, Udev: a.Udev}
	if spec.Udev == dm.Unchanged {
		spec.Udev = dm.Hidden
	}
	unlock, err := p.kernel.names.lock(ctx, a.Name)
	if err != nil {
		return Device{}, err
	}
	defer unlock()
	info, err := p.kernel.dm.Activate(ctx, spec)
	if errors.Is(err, dm.ErrExists) {
		info, err = p.again(ctx, spec, t, err)
	}
	if err != nil {
		return Device{}, fmt.Errorf("pool %s: device %d: %w", p.name, a.ID, p.explain(ctx, err, map[unix.Errno]error{
			unix.ENODATA: &pdata.NoDeviceError{ID: a.ID},
		}))
	}
	return Device{a.Name, info.Number, a.ID}, nil
}

// again finds the active device of the name, or activates it if it was removed meanwhile. exists
// is the error to return if it is another device.
func (p *Pool) again(ctx context.Context, spec dm.Spec, want deviceTable, exists error) (dm.Info, error) {
	info, table, err := p.kernel.find(ctx, spec.Name, spec.UUID)
	if err == nil {
		have, parseErr := parseDeviceTable(table)
		if parseErr != nil {
			return dm.Info{}, exists
		}
		if differs := append(want.differences(have), accessDiffers(spec.ReadOnly, info.ReadOnly)...); differs != nil {
			return dm.Info{}, &DiffersError{spec.Name, differs}
		}
		if !info.DeferredRemoval {
			if spec.Udev == dm.Public {
				err = p.kernel.dm.Link(spec.Name, info.Number)
			}
			return info, err
		}
		err = p.kernel.dm.CancelDeferred(ctx, spec.Name)
	}
	if errors.Is(err, unix.ENXIO) || errors.Is(err, dm.ErrNotFound) {
		return p.kernel.dm.Activate(ctx, spec)
	}
	return info, err
}

// SuspendDevice stops a device's I/O, and freezes the filesystem on it, until ResumeDevice. Reads
// and writes wait until then. If the caller dies, the device stays suspended.
func (k *Kernel) SuspendDevice(ctx context.Context, name string) error {
	return k.dm.Suspend(ctx, name, dm.SuspendOptions{})
}

// ResumeDevice resumes a device's I/O.
func (k *Kernel) ResumeDevice(ctx context.Context, name string) error {
	_, err := k.dm.Resume(ctx, name, dm.Unchanged)
	return err
}

// RemoveDevice deactivates a device. Its data stay in the pool. If the device is open, RemoveDevice
// waits until ctx is done. The error is [dm.ErrInUse] then. If deferred is true, it does not wait:
// the kernel removes the device with its last user. gone reports whether the device is removed
// now. It is true if no device has the name.
func (k *Kernel) RemoveDevice(ctx context.Context, name string, deferred bool, u dm.Udev) (gone bool, err error) {
	if deferred {
		return k.dm.DeactivateLater(ctx, name, u)
	}
	err = k.dm.Deactivate(ctx, name, u)
	return err == nil, err
}
