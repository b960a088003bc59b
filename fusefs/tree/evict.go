package tree

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"thintree/fusefs/layout"
)

// Evict closes a volume now: what is open in it fails with ESTALE from then on, and
// the next access opens it anew. It returns when it is closed; one that is not open
// stays as it is. name is what [Tree.Find] takes, but no beginning of a name, or a
// path of the tree that leads to the volume.
//
// Reads of files that are passed through are invisible to us. If such files are open the
// error is a *[lease.BusyError], and nothing is closed. If they are only mapped, that shows
// when the volume is closed: then it is a *[volume.MappedError]. A lazy Evict makes them read errors,
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
	return t.opener.EndMapped(ctx, v, before, lazy)
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
