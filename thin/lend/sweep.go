package lend

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"thintree/thin/dm"
)

func isLent(name string) bool { return strings.HasPrefix(name, prefix) }

// Sweep removes what was lent to processes that have been killed before they left
// it to go by itself, and the temporary snapshots that they have left.
func (l *Lender) Sweep(ctx context.Context) error {
	dead := func(owner string) bool { return !lives(owner) }
	_, err := l.sweepDevices(ctx, dead)
	return errors.Join(err, l.sweepSnapshots(ctx, dead))
}

// SweepOf does that for one process, by its [Owner], which has ended. Who still uses
// what was lent to it, as by a file that the kernel reads past a tree, reads errors from
// then on.
func (l *Lender) SweepOf(ctx context.Context, owner string) error {
	dead := func(o string) bool { return o == owner || strings.HasPrefix(o, owner+"-") }
	left, err := l.sweepDevices(ctx, dead)
	return errors.Join(err, l.takeBack(ctx, left), l.sweepSnapshots(ctx, dead))
}

// sweepDevices gives the devices that are still in use: they go with their last user. A
// process of another namespace seems to be dead, and lives: so nothing is taken from it.
func (l *Lender) sweepDevices(ctx context.Context, dead func(owner string) bool) (left []string, err error) {
	list, err := l.kernel.DM().List(ctx)
	if err != nil {
		return nil, err
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
			var gone bool
			if gone, err = l.kernel.RemoveDevice(ctx, d.Name, true, dm.Hidden); err == nil && !gone {
				left = append(left, d.Name)
			}
		}
		errs = append(errs, err)
	}
	return left, errors.Join(errs...)
}

// longestLeaving is how long devices are waited for whose users have just ended.
const longestLeaving = 300 * time.Millisecond

// takeBack waits for devices to go, and has who still uses one then read errors. What
// they lie on is free then.
func (l *Lender) takeBack(ctx context.Context, names []string) error {
	for until := time.Now().Add(longestLeaving); ; time.Sleep(pause) {
		names = slices.DeleteFunc(names, func(name string) bool {
			_, err := l.kernel.DM().Info(ctx, name)
			return errors.Is(err, dm.ErrNotFound)
		})
		if len(names) == 0 || time.Now().After(until) {
			break
		}
	}
	var errs []error
	for _, name := range names {
		if err := l.revoke(ctx, name); !errors.Is(err, dm.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
