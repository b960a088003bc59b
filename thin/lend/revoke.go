package lend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

// Lent lists the devices of an id of a pool, by the path of its metadata, that were
// lent to this process and are still there: also after they were given back, where
// somebody has a file on one open or mapped.
func (l *Lender) Lent(ctx context.Context, metadata string, id uint32) (names []string, err error) {
	p, err := l.kernel.FindPool(ctx, metadata)
	if errors.Is(err, thin.ErrNotActive) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	active, err := p.Active(ctx)
	for _, d := range active {
		if d.ID == id && strings.HasPrefix(d.Name, mine()) {
			names = append(names, d.Name)
		}
	}
	return names, err
}

// Revoke takes a device that was lent to this process away from whoever still has it
// open or mounted, or a file on it mapped: they read what they have read before, or
// EIO. What it was activated from is free then. It is nothing where the device is not
// there any more.
func (l *Lender) Revoke(ctx context.Context, name string) error {
	if !strings.HasPrefix(name, mine()) {
		return fmt.Errorf("%s was not lent to this process: %w", name, unix.EINVAL)
	}
	if err := l.revoke(ctx, name); !errors.Is(err, dm.ErrNotFound) {
		return err
	}
	return nil
}

// revoke does nothing to a pool, which goes with its devices.
func (l *Lender) revoke(ctx context.Context, name string) error {
	client := l.kernel.DM()
	info, table, err := client.Table(ctx, name)
	if err != nil {
		return err
	}
	var sectors uint64
	for _, t := range table {
		if t.Type == "thin-pool" {
			return nil
		}
		sectors += t.Length
	}
	if err := client.Load(ctx, name, []dm.Target{{Length: sectors, Type: "error"}}, info.ReadOnly); err != nil {
		return err
	}
	// Nothing is written to it, and nothing is waited for that lies beneath.
	err = client.Suspend(ctx, name, dm.SuspendOptions{SkipLockFS: true, NoFlush: true})
	if _, e := client.Resume(context.WithoutCancel(ctx), name, dm.Unchanged); err == nil {
		err = e
	}
	return err
}
