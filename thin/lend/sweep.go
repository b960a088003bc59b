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

// Sweep removes devices and temporary snapshots left by killed processes.
func (l *Lender) Sweep(ctx context.Context) error {
	dead := func(owner string) bool { return !lives(owner) }
	_, err := l.sweepDevices(ctx, dead)
	return errors.Join(err, l.sweepSnapshots(ctx, dead))
}

// SweepOf does the same for one process that has ended, by its [Owner]. Programs that still
// use its devices, such as through a passed-through file, read errors from then on.
func (l *Lender) SweepOf(ctx context.Context, owner string) error {
	dead := func(o string) bool { return o == owner || strings.HasPrefix(o, owner+"-") }
	left, err := l.sweepDevices(ctx, dead)
	return errors.Join(err, l.takeBack(ctx, left), l.sweepSnapshots(ctx, dead))
}

// sweepDevices removes the devices of dead processes. It returns those that are still in use;
// the kernel removes them with their last user. A process of another namespace seems dead
// though it may run, so devices in use are not revoked here.
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
			// The removal is deferred, for a device that is open: it may be beneath
			// another one that is removed too.
			var gone bool
			if gone, err = l.kernel.RemoveDevice(ctx, d.Name, true, dm.Hidden); err == nil && !gone {
				left = append(left, d.Name)
			}
		}
		errs = append(errs, err)
	}
	return left, errors.Join(errs...)
}

// longestLeaving is how long takeBack waits for the removal of devices whose users have just
// ended.
const longestLeaving = 300 * time.Millisecond

// takeBack waits until devices are removed, and revokes those that are still in use then, so
// that what lies beneath is no longer in use.
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
