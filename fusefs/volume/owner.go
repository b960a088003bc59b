package volume

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// SameDevice reports whether two volumes are one device: under two names, from two sources,
// or before and after it became another volume.
func (v *Volume) SameDevice(other *Volume) bool {
	mine, _ := v.Pool.reader.Paths()
	theirs, _ := other.Pool.reader.Paths()
	return mine == theirs && v.deviceID == other.deviceID
}

// Lent are the names of the devices that were lent for a volume and are still there: also
// after it was closed, if somebody has a file on one open or mapped.
func (o *Opener) Lent(ctx context.Context, v *Volume) (names []string, err error) {
	if o.Kernel == nil {
		return nil, nil
	}
	metadata, _ := v.Pool.reader.Paths()
	return o.Kernel.Lent(ctx, metadata, v.deviceID)
}

// MayStall reports whether what is asked of a volume may wait in the kernel for somebody
// else: it is read through the kernel, or its pool is active.
func (o *Opener) MayStall(v *Volume) bool {
	return o.Kernel != nil && (o.Engine == EngineKernel || v.Pool.reader.Live())
}

// SuspendedError says that a request was given up because its pool is suspended. It unwraps
// to EIO.
type SuspendedError struct {
	Volume, Device string
	Waited         time.Duration
}

func (e *SuspendedError) Error() string {
	return fmt.Sprintf("%s: %s is suspended, for %v (--open-timeout): dmsetup resume %s lets it go on", e.Volume, e.Device, e.Waited, e.Device)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *SuspendedError) Unwrap() error { return syscall.EIO }

// Suspended is a [SuspendedError] if a volume, or its pool, is suspended.
func (o *Opener) Suspended(ctx context.Context, v *Volume) error {
	if o.Kernel == nil {
		return nil
	}
	metadata, _ := v.Pool.reader.Paths()
	device, err := o.Kernel.Suspended(ctx, metadata, v.deviceID)
	if err != nil || device == "" {
		return nil
	}
	return &SuspendedError{v.name, device, o.OpenTimeout}
}
