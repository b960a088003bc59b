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

// SameDevice reports whether two volumes are the same device of the same pool, or the same plain
// bytes: under two names, from two sources, or before and after the device became another volume.
func (v *Volume) SameDevice(other *Volume) bool {
	if v.Pool == nil || other.Pool == nil {
		return v.Pool == other.Pool && v.Record().Plain.Equal(other.Record().Plain)
	}
	mine, _ := v.Pool.reader.Halves()
	theirs, _ := other.Pool.reader.Halves()
	return v.deviceID == other.deviceID && mine.Equal(theirs)
}

// Lent lists the loans of a volume that still exist. A loan exists even after the volume was
// closed if a process still has a file on it open or mapped.
func (o *Opener) Lent(ctx context.Context, v *Volume) ([]*lend.Loan, error) {
	if o.Kernel == nil || v.Pool == nil {
		return nil, nil
	}
	metadata, _ := v.Pool.reader.Halves()
	return o.Kernel.Lent(ctx, metadata, v.deviceID)
}

// MappedError says that a volume was closed but its device is still in use: a process has
// mapped a file in it that is passed through. It unwraps to EBUSY.
type MappedError struct{ Volume string }

func (e *MappedError) Error() string {
	return fmt.Sprintf("%s: busy: a running process has mapped a file in it: end that process, or use --lazy, after which its reads fail", e.Volume)
}

// Unwrap makes errors.Is(err, syscall.EBUSY) true.
func (e *MappedError) Unwrap() error { return syscall.EBUSY }

// EndMapped ends the loans of a closed volume that existed before it was closed and still do,
// because processes have mapped files on them. If lazy is false it ends none and returns a
// *[MappedError] if there are any. If lazy is true it revokes them: the processes then get
// errors.
func (o *Opener) EndMapped(ctx context.Context, v *Volume, before []*lend.Loan, lazy bool) error {
	now, err := o.Lent(ctx, v)
	if err != nil {
		return err
	}
	for _, loan := range now {
		was := slices.ContainsFunc(before, func(l *lend.Loan) bool { return l.Name() == loan.Name() })
		switch {
		case !was: // somebody has opened the volume again
		case !lazy:
			return &MappedError{Volume: v.name}
		default:
			err = errors.Join(err, loan.Revoke(ctx))
		}
	}
	return err
}

// MayStall reports whether a request for a volume may wait in the kernel for somebody else: the
// volume is read through the kernel, or its pool is active.
func (o *Opener) MayStall(v *Volume) bool { return o.mayStall(v.in) }

// PoolMayStall is MayStall of all volumes of a pool.
func (o *Opener) PoolMayStall(p *Pool) bool { return o.mayStall(p) }

func (o *Opener) mayStall(m medium) bool {
	return o.Kernel != nil && (o.Engine == EngineKernel || m.mayStall())
}

// SuspendedError says that a request was given up because its pool is suspended. It unwraps
// to EIO.
type SuspendedError struct {
	Volume, Device string
	Waited         time.Duration
}

func (e *SuspendedError) Error() string {
	return fmt.Sprintf("%s: %s is suspended, gave up after %v (--open-timeout): resume it with dmsetup resume %s", e.Volume, e.Device, e.Waited, e.Device)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *SuspendedError) Unwrap() error { return syscall.EIO }

// suspended returns a *[SuspendedError] if a volume or its pool is suspended.
func (o *Opener) suspended(ctx context.Context, v *Volume) error {
	if o.Kernel == nil || v.Pool == nil {
		return nil
	}
	metadata, _ := v.Pool.reader.Halves()
	device, err := o.Kernel.Suspended(ctx, metadata, v.deviceID)
	if err != nil || device == "" {
		return nil
	}
	return &SuspendedError{v.name, device, o.OpenTimeout}
}

// suspendedInterval is the time between two looks at a device that somebody waits for.
const suspendedInterval = time.Second

// Await waits until done is closed. It returns an error if ctx is done before, which is its cause,
// or if the volume or its pool has been suspended for OpenTimeout, which is a [SuspendedError].
func (o *Opener) Await(ctx context.Context, v *Volume, done <-chan struct{}) error {
	suspended := time.NewTimer(max(o.OpenTimeout, suspendedInterval))
	defer suspended.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-suspended.C:
			if err := o.suspended(ctx, v); err != nil {
				return err
			}
			suspended.Reset(suspendedInterval)
		}
	}
}
