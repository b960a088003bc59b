package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"thintree/thin/lend"
)

// SameDevice reports whether two volumes are one device: under two names, from two sources,
// or before and after it became another volume.
func (v *Volume) SameDevice(other *Volume) bool {
	mine, _ := v.Pool.reader.Halves()
	theirs, _ := other.Pool.reader.Halves()
	return v.deviceID == other.deviceID && mine.Equal(theirs)
}

// Lent are the loans of a volume that are still there: also after it was closed, if somebody
// has a file on one open or mapped.
func (o *Opener) Lent(ctx context.Context, v *Volume) ([]*lend.Loan, error) {
	if o.Kernel == nil {
		return nil, nil
	}
	metadata, _ := v.Pool.reader.Halves()
	return o.Kernel.Lent(ctx, metadata, v.deviceID)
}

// MappedError says that a volume was closed, but not its device: a file in it that is passed
// through is mapped by a process. It unwraps to EBUSY.
type MappedError struct{ Volume string }

func (e *MappedError) Error() string {
	return fmt.Sprintf("%s: busy: a file in it is mapped by a process that runs: end it, or have it read errors with --lazy", e.Volume)
}

// Unwrap makes errors.Is(err, syscall.EBUSY) true.
func (e *MappedError) Unwrap() error { return syscall.EBUSY }

// EndMapped ends what has files of a closed volume mapped: some of the loans that were there
// before it was closed are still there then. It is a *[MappedError] unless lazy: then those
// that have the files mapped get errors.
func (o *Opener) EndMapped(ctx context.Context, v *Volume, before []*lend.Loan, lazy bool) error {
	now, err := o.Lent(ctx, v)
	if err != nil {
		return err
	}
	for _, loan := range now {
		was := slices.ContainsFunc(before, func(l *lend.Loan) bool { return l.Name() == loan.Name() })
		switch {
		case !was: // a caller has walked in again
		case !lazy:
			return &MappedError{Volume: v.name}
		default:
			err = errors.Join(err, loan.Revoke(ctx))
		}
	}
	return err
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
	metadata, _ := v.Pool.reader.Halves()
	device, err := o.Kernel.Suspended(ctx, metadata, v.deviceID)
	if err != nil || device == "" {
		return nil
	}
	return &SuspendedError{v.name, device, o.OpenTimeout}
}
