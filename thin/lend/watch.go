package lend

import (
	"context"
	"errors"
	"maps"
	"time"

	"thintree/thin/dm"
)

// Watch calls changed when it begins to watch, and whenever a device-mapper device has come
// or gone that was not lent, until ctx is done: what [Lender.Users] tells may be another thing then. unseen says that
// one has come, and has gone again before it could be seen which it was.
func (l *Lender) Watch(ctx context.Context, changed func(unseen bool)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := watcher{lender: l, seen: map[dm.Disk]bool{}}
	var err error
	if w.disks, err = dm.WatchNewDisks(); err != nil {
		return err
	}
	defer w.disks.Close()
	l.keepMade(true)
	defer l.keepMade(false)
	var failed error
	err = l.kernel.DM().WatchAll(ctx, func() {
		// A device that is made runs only some moments later, without an event.
		for until := time.Now().Add(longestMaking); ; time.Sleep(making) {
			whole, err := w.look(ctx, func(unseen bool) {
				l.forget()
				changed(unseen)
			})
			if err != nil {
				failed = err
				stop()
				return
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

// watcher is what was seen of the devices of others.
type watcher struct {
	lender *Lender
	disks  *dm.NewDisks
	before map[dm.Listed]bool // whether each had a table; nil before the first look
	seen   map[dm.Disk]bool   // those of which the kernel has not told yet that they came
}

// look looks at the devices of others, and calls changed if they are not those of the look
// before. whole says that all have a table.
func (w *watcher) look(ctx context.Context, changed func(unseen bool)) (whole bool, err error) {
	// Before the list: what comes afterwards is told at the next look.
	came, unseen, err := w.disks.Take()
	if err != nil {
		return false, err
	}
	now, all, whole, err := w.list(ctx)
	if err != nil {
		return false, err
	}
	told := make(map[dm.Disk]bool, len(came))
	for _, d := range came {
		if lent := w.lender.made(d); !lent && !w.seen[d] && all[d.Number] != d {
			unseen = true
		}
		delete(w.seen, d)
		told[d] = true
	}
	var runNow []dm.Disk
	for d, runs := range now {
		if disk, ok := all[d.Number]; ok && runs && !w.before[d] {
			runNow = append(runNow, disk)
			if !told[disk] {
				w.seen[disk] = true
			}
		}
	}
	differs := w.before == nil || !maps.Equal(w.before, now)
	w.before = now
	if differs || unseen {
		changed(unseen)
	}
	// One that has gone by now went perhaps before changed could see whose it was.
	for _, d := range runNow {
		if dm.DiskOf(d.Number) != d {
			changed(true)
			break
		}
	}
	return whole, nil
}

// list lists the devices that were not lent, with whether they have a table, and reports
// whether all have. Of those that had one before it is known. all are the disks of all
// devices, by number.
func (w *watcher) list(ctx context.Context) (now map[dm.Listed]bool, all map[uint64]dm.Disk, whole bool, err error) {
	client := w.lender.kernel.DM()
	list, err := client.List(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	now, all, whole = make(map[dm.Listed]bool, len(list)), make(map[uint64]dm.Disk), true
	for _, d := range list {
		runs := w.before[d]
		if !runs {
			all[d.Number] = dm.DiskOf(d.Number)
		}
		if isLent(d.Name) {
			continue
		}
		if !runs {
			info, err := client.Info(ctx, d.Name)
			if err != nil && !errors.Is(err, dm.ErrNotFound) {
				return nil, nil, false, err
			}
			runs = err == nil && info.Active
		}
		now[d], whole = runs, whole && runs
	}
	return now, all, whole, nil
}

// maxMade is how many disks are remembered that were lent and of which the kernel has not
// told yet that they came.
const maxMade = 4096

// keepMade says whether disks that are lent are remembered, until the kernel has told that
// they came.
func (l *Lender) keepMade(keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent = nil
	if keep {
		l.lent = map[dm.Disk]bool{}
	}
}

// makes takes note of a disk that is lent, before it can go.
func (l *Lender) makes(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lent == nil {
		return
	}
	if len(l.lent) == maxMade { // those whose message was read before they were noted
		clear(l.lent)
	}
	l.lent[dm.DiskOf(number)] = true
}

// made reports whether a disk that came was lent, and forgets it.
func (l *Lender) made(d dm.Disk) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.lent[d]
	delete(l.lent, d)
	return was
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
