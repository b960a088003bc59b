package lend

import (
	"context"
	"errors"
	"strings"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/dm"
)

// Lent lists the loans of a device of an id that were made to this process and are still
// there: also after they were closed, if somebody has a file on one open or mapped.
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

// revoke gives a device a table of errors. It does nothing to a pool, which goes with its
// devices.
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
