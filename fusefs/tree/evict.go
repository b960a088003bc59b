package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"thintree/fusefs/layout"
)

// Evict closes a volume now, and returns when it is closed. Files that are open in it fail with
// ESTALE from then on. The next access opens the volume again. Evict does nothing to a volume
// that is not open. name is a path in the tree that leads to the volume, or a name as
// [Tree.Find] takes it, but not the beginning of one.
//
// Reads of passed-through files are invisible to us. If such files are open the error is a
// *[lease.BusyError], and nothing is closed. If they are only mapped, that is known only after
// the volume was closed: then the error is a *[volume.MappedError]. If lazy is true, Evict frees
// the device in both cases. Reads of these files then fail, except of bytes that are cached, and
// the kernel keeps the filesystem mounted until the files are closed and unmapped.
func (t *Tree) Evict(ctx context.Context, name string, lazy bool) error {
	found, err := t.named(ctx, name)
	if err != nil {
		return err
	}
	v := t.rootOf(found).Volume
	before, err := t.opener.Lent(ctx, v)
	if err != nil {
		return err
	}
	// The same device may also be open as an earlier volume, or through another source.
	errs := t.leases.Evict(ctx, v.SameDevice, lazy)
	if err := errors.Join(errs...); err != nil || len(before) == 0 {
		return err
	}
	return t.opener.EndMapped(ctx, v, before, lazy)
}

// named finds a volume by the names that Evict takes. It reads no volume. It is an error if several
// sources have a volume of that name.
func (t *Tree) named(ctx context.Context, name string) (*layout.Volume, error) {
	l := t.current(ctx)
	var found []*layout.Volume
	var in []string
	for i, paths := range append(l.Meant(name), []string{name}) {
		for _, path := range paths {
			if v := l.VolumeAt(path); v != nil {
				found = append(found, v)
				if i < len(l.Sections) {
					in = append(in, layout.Join(l.Sections[i].Folder, name))
				}
				break
			}
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%.300q: no such volume: the folder volumes lists their names: %w", name, syscall.ENOENT)
	case len(in) > 1:
		return nil, fmt.Errorf("%.300q: several sources have such a volume: name one of %s: %w", name, strings.Join(in, ", "), syscall.EINVAL)
	}
	return found[0], nil
}
