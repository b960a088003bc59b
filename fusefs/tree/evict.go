package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
)

// MappedError says that a volume was closed, but not its device: a file in it that is passed
// through is mapped by a process. It unwraps to EBUSY.
type MappedError struct{ Volume string }

func (e *MappedError) Error() string {
	return fmt.Sprintf("%s: busy: a file in it is mapped by a process that runs: end it, or have it read errors with --lazy", e.Volume)
}

// Unwrap makes errors.Is(err, syscall.EBUSY) true.
func (e *MappedError) Unwrap() error { return syscall.EBUSY }

// Evict closes a volume now: what is open in it fails with ESTALE from then on, and
// the next access opens it anew. It returns when it is closed; one that is not open
// stays as it is. name is what [Tree.Find] takes, but no beginning of a name, or a
// path of the tree that leads to the volume.
//
// Reads of files that are passed through are invisible to us. If such files are open the
// error is a *[lease.BusyError], and nothing is closed. If they are only mapped, that shows
// when the volume is closed: then it is a *[MappedError]. A lazy Evict makes them read errors,
// but for what they have read before, and the kernel keeps what it has mounted until they are
// closed and unmapped; the device is free.
func (t *Tree) Evict(ctx context.Context, name string, lazy bool) error {
	found := t.named(ctx, name)
	if found == nil {
		return fmt.Errorf("%.300q: no such volume: the folder volumes has their names: %w", name, syscall.ENOENT)
	}
	v := t.rootOf(found).Volume
	before, err := t.opener.Lent(ctx, v)
	if err != nil {
		return err
	}
	// Also what was shown of its device before, or is by another source, and is open.
	errs := t.leases.Evict(ctx, v.SameDevice, lazy)
	if err := errors.Join(errs...); err != nil || len(before) == 0 {
		return err
	}
	return t.evictMapped(ctx, v, before, lazy)
}

// evictMapped ends what has files of a closed volume mapped: some of the devices that
// were lent for it are still there then.
func (t *Tree) evictMapped(ctx context.Context, v *volume.Volume, before []string, lazy bool) error {
	now, err := t.opener.Lent(ctx, v)
	if err != nil {
		return err
	}
	for _, name := range now {
		switch {
		case !slices.Contains(before, name): // a caller has walked in again
		case !lazy:
			return &MappedError{Volume: v.String()}
		default:
			err = errors.Join(err, t.opts.Kernel.Revoke(ctx, name))
		}
	}
	return err
}

// named finds a volume as Evict does. It reads nothing.
func (t *Tree) named(ctx context.Context, name string) *layout.Volume {
	l := t.current(ctx)
	for _, path := range append(l.Meant(name), name) {
		if v := l.VolumeAt(path); v != nil {
			return v
		}
	}
	return nil
}
