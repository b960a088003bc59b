package lend

import (
	"context"
	"errors"
	"maps"
	"time"

	"thintree/thin/dm"
)

// Watch calls changed whenever a device-mapper device has come or gone that was
// not lent, until ctx is done: what [Lender.Users] tells may be another thing then.
func (l *Lender) Watch(ctx context.Context, changed func(unseen bool)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	before := map[dm.Listed]bool{} // whether each has a table
	var failed error
	err := l.kernel.DM().WatchAll(ctx, func() {
		// A device that is made runs only some moments later, without an event.
		for until := time.Now().Add(longestMaking); ; time.Sleep(making) {
			now, whole, err := l.others(ctx, before)
			if err != nil {
				failed = err
				stop()
				return
			}
			if !maps.Equal(before, now) {
				before = now
				l.forget()
				changed(false)
			}
			if whole || time.Now().After(until) {
				return
			}
		}
	})
	return errors.Join(failed, err)
}

const (
	// longestMaking is how long a device without a table is waited for, making how
	// long between two looks.
	longestMaking = time.Second
	making        = 5 * time.Millisecond
)

// others lists the devices that were not lent, with whether they have a table, and
// tells whether all have. Of those that had one before it is known.
func (l *Lender) others(ctx context.Context, before map[dm.Listed]bool) (now map[dm.Listed]bool, whole bool, err error) {
	list, err := l.kernel.DM().List(ctx)
	if err != nil {
		return nil, false, err
	}
	now, whole = make(map[dm.Listed]bool, len(list)), true
	for _, d := range list {
		if isLent(d.Name) {
			continue
		}
		runs := before[d]
		if !runs {
			info, err := l.kernel.DM().Info(ctx, d.Name)
			if err != nil && !errors.Is(err, dm.ErrNotFound) {
				return nil, false, err
			}
			runs = err == nil && info.Active
		}
		now[d], whole = runs, whole && runs
	}
	return now, whole, nil
}

// forget has all pools looked at again.
func (l *Lender) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.states {
		s.mu.Lock()
		s.at = time.Time{}
		s.mu.Unlock()
	}
}
