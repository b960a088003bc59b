package volume

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"thintree/thin/pdata"
)

// medium is what the bytes of volumes are read from: a *Pool or *Disks.
type medium interface {
	// openDevice opens a volume with a length in bytes.
	openDevice(ctx context.Context, v *Volume, sizeBytes int64) (device, error)
	// read calls f with a function that opens the volume for a moment, with a length in bytes.
	read(ctx context.Context, v *Volume, f func(open func(sizeBytes int64) (device, error)) error) error
	// leastBytes is the least possible length of a volume, in bytes.
	leastBytes(ctx context.Context, v *Volume) (int64, error)
	// misfit returns an error if what lies there must not be shown, because it is not the
	// volume's own.
	misfit(v *Volume) error
	// changing reports whether the volume may be changing, or may have changed since it was
	// made.
	changing(v *Volume) bool
	// when is when the volume's medium last changed, in nanoseconds since 1970.
	when(v *Volume) int64
	// mayStall reports whether a read may wait in the kernel for somebody else.
	mayStall() bool
}

var _, _ medium = (*Pool)(nil), (*Disks)(nil)

// misfit returns an error if the volume's bytes must not be shown, because they are not its own.
func (v *Volume) misfit() error { return v.in.misfit(v) }

// Live reports whether the volume may be changing, or may have changed since v was made.
func (v *Volume) Live() bool {
	if origin := v.origin.Load(); origin != nil && origin.Live() {
		return true
	}
	return v.in.changing(v)
}

// When is when the volume's pool or disk last changed, in nanoseconds since 1970.
func (v *Volume) When() int64 { return v.in.when(v) }

// Details returns the pool's details of the volume. They are zero if the volume is in no pool, or
// the device is another one. known reports whether its pool has a device with that id.
func (v *Volume) Details() (d pdata.DeviceDetails, known bool) {
	if v.Pool == nil {
		return d, false
	}
	d, known = v.Pool.devices()[v.deviceID]
	if v.misfit() != nil {
		return pdata.DeviceDetails{}, known
	}
	return d, known
}

// MappedBytes is how much of a volume its pool has mapped, in bytes. It is not known if the volume
// is in no pool.
func (v *Volume) MappedBytes() (bytes int64, known bool) {
	d, known := v.Details()
	if !known {
		return 0, false
	}
	return int64(d.MappedBlocks) * v.Pool.BlockBytes(), true
}

// openDevice opens the volume.
func (v *Volume) openDevice(ctx context.Context, sizeBytes int64) (device, error) {
	if err := v.misfit(); err != nil {
		return nil, err
	}
	return v.in.openDevice(ctx, v, sizeBytes)
}

// peek calls f with a function that opens the volume for a moment.
func (v *Volume) peek(ctx context.Context, f func(open func(sizeBytes int64) (device, error)) error) error {
	if err := v.misfit(); err != nil {
		return err
	}
	return v.in.read(ctx, v, f)
}

// SetOrigin says which volume is the external origin, nil if it is not known.
func (v *Volume) SetOrigin(origin *Volume) { v.origin.Store(origin) }

// maxOrigins is how many external origins may follow each other.
const maxOrigins = 8

// openOrigin opens the external origin that the volume's record names. It returns nil if the record
// names none.
func (v *Volume) openOrigin(ctx context.Context) (device, error) {
	name := v.Record().ExternalOrigin
	if name == "" {
		return nil, nil
	}
	for at, n := v, 0; at != nil; at, n = at.origin.Load(), n+1 {
		if n == maxOrigins {
			return nil, fmt.Errorf("more than %d external origins follow each other: %w", maxOrigins, syscall.ELOOP)
		}
	}
	origin := v.origin.Load()
	if origin == nil {
		return nil, &unreadError{fmt.Errorf("its external origin, %s, is not known", name)}
	}
	size := origin.sizeBytes
	if size == 0 {
		return nil, &unreadError{fmt.Errorf("its external origin, %s: its length is not known", name)}
	}
	d, err := origin.openDevice(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("its external origin, %s: %w", name, err)
	}
	return d, nil
}

// withOrigin is a device that is closed together with its external origin.
type withOrigin struct {
	device
	origin device
}

func (d withOrigin) Close() error { return errors.Join(d.device.Close(), d.origin.Close()) }
