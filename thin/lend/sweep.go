package lend

import (
	"context"
	"errors"
	"strings"

	"thintree/thin/dm"
)

func isLent(name string) bool { return strings.HasPrefix(name, prefix) }

// Sweep removes what was lent to processes that have been killed before they left
// it to go by itself, and the temporary snapshots that they have left.
func (l *Lender) Sweep(ctx context.Context) error {
	return l.sweep(ctx, func(owner string) bool { return !lives(owner) })
}

// SweepOf does that for one process, by its [Owner], which has ended.
func (l *Lender) SweepOf(ctx context.Context, owner string) error {
	return l.sweep(ctx, func(o string) bool { return o == owner || strings.HasPrefix(o, owner+"-") })
}

func (l *Lender) sweep(ctx context.Context, dead func(owner string) bool) error {
	list, err := l.kernel.DM().List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range list {
		if !isLent(d.Name) {
			continue
		}
		info, err := l.kernel.DM().Info(ctx, d.Name)
		if errors.Is(err, dm.ErrNotFound) {
			continue
		}
		owner, ours := strings.CutPrefix(info.UUID, uuidPrefix)
		if err == nil && ours && dead(owner) {
			// Also one that is open: beneath another that goes too, or on its way.
			_, err = l.kernel.RemoveDevice(ctx, d.Name, true, dm.Hidden)
		}
		errs = append(errs, err)
	}
	errs = append(errs, l.sweepSnapshots(ctx, dead))
	return errors.Join(errs...)
}
