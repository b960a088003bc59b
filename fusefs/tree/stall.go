package tree

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// MayStall reports whether what is asked of a node may wait in the kernel for somebody
// else: its volume is read through the kernel, or its pool is active.
func (t *Tree) MayStall(id NodeID) bool {
	if !id.isFile() || t.opts.Kernel == nil {
		return false
	}
	r := t.slots.get(id)
	return r != nil && (t.opts.Engine == EngineKernel || r.vol.pool.reader.Live())
}

// OpenTimeout is how long a volume waits for its turn, and a request for a pool that is
// suspended.
func (t *Tree) OpenTimeout() time.Duration { return t.opts.OpenTimeout }

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

// Suspended is a [SuspendedError] if the pool that a node is in is suspended.
func (t *Tree) Suspended(ctx context.Context, id NodeID) error {
	r, err := t.fsRoot(id)
	if err != nil || t.opts.Kernel == nil {
		return nil
	}
	metadata, _ := r.vol.pool.reader.Paths()
	device, err := t.opts.Kernel.Suspended(ctx, metadata, r.vol.deviceID)
	if err != nil || device == "" {
		return nil
	}
	return &SuspendedError{r.vol.name, device, t.opts.OpenTimeout}
}
