package lend

import (
	"context"
	"errors"
	"strings"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/dm"
)

// Lent lists this process's loans of the device with an id that the kernel has not removed
// yet. A closed loan is among them if a program still has a file on it open or mapped.
func (l *Lender) Lent(ctx context.Context, metadata block.Location, id uint32) (loans []*Loan, err error) {
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
			loans = append(loans, &Loan{lender: l, lowest: d.Name})
		}
	}
	return loans, err
}

func (l *Lender) revokeIfThere(ctx context.Context, name string) error {
	if err := l.revoke(ctx, name); !errors.Is(err, dm.ErrNotFound) {
		return err
	}
	return nil
}

// revoke replaces a device's table by the "error" target. It leaves a pool as it is: the
// kernel removes it with its devices.
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
	// The device is read-only, so there is nothing to flush. What lies beneath may hang, and
	// must not be waited for.
	err = client.Suspend(ctx, name, dm.SuspendOptions{SkipLockFS: true, NoFlush: true})
	if _, e := client.Resume(context.WithoutCancel(ctx), name, dm.Unchanged); err == nil {
		err = e
	}
	return err
}
