package lend

import (
	"context"
	"errors"
	"maps"
	"time"

	"thintree/thin/dm"
)

// Watch calls changed when it begins to watch, and whenever a device-mapper device that was
// not lent is made or removed, until ctx is done. [Lender.Users] may return something else
// then. unseen is true if a device was made and removed again before Watch could see which
// one it was.
func (l *Lender) Watch(ctx context.Context, changed func(unseen bool)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := watcher{lender: l, pending: map[dm.Disk]bool{}, seen: map[dm.Disk]bool{}}
	var err error
	if w.disks, err = dm.WatchNewDisks(); err != nil {
		return err
	}
	defer w.disks.Close()
	l.keepMade(true)
	defer l.keepMade(false)
	var failed error
	err = l.kernel.DM().WatchAll(ctx, func() {
		// A new device gets its table only some moments later, without an event.
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
	// longestMaking is how long Watch waits for the table of a new device. It looks every
	// making.
	longestMaking = time.Second
	making        = 5 * time.Millisecond
)

// watcher is what was seen of the devices that were not lent.
type watcher struct {
	lender  *Lender
	disks   *dm.NewDisks
	before  map[dm.Listed]bool // whether each had a table; nil before the first look
	pending map[dm.Disk]bool   // new ones that changed has not been called for
	seen    map[dm.Disk]bool   // those that had a table when changed was called
}

// look lists the devices that were not lent, and calls changed if they differ from the last
// look. whole is true if all have a table.
func (w *watcher) look(ctx context.Context, changed func(unseen bool)) (whole bool, err error) {
	// Before the list, so that a device made after the list is seen at the next look.
	came, unseen, err := w.disks.Take()
	if err != nil {
		return false, err
	}
	l, err := w.list(ctx)
	if err != nil {
		return false, err
	}
	for _, d := range came {
		if lent := w.lender.made(d); !lent && !w.seen[d] && !l.lent[d] {
			w.pending[d] = true
		}
	}
	for d := range w.pending {
		if _, there := l.disks[d]; !there { // it was removed before this look
			unseen = true
			delete(w.pending, d)
		}
	}
	for d := range w.seen {
		if _, there := l.disks[d]; !there {
			delete(w.seen, d)
		}
	}
	differs := w.before == nil || !maps.Equal(w.before, l.devices)
	w.before = l.devices
	if differs || unseen {
		changed(unseen)
	}
	for d, runs := range l.disks {
		if !runs || w.seen[d] {
			continue
		}
		delete(w.pending, d)
		if dm.DiskOf(d.Number) == d {
			w.seen[d] = true
		} else { // it was removed, perhaps before changed could see it
			changed(true)
		}
	}
	return l.whole, nil
}

// listed is the result of a listing.
type listed struct {
	devices map[dm.Listed]bool // those that were not lent, and whether they have a table
	disks   map[dm.Disk]bool   // the same, by disk
	lent    map[dm.Disk]bool   // those lent by any process
	whole   bool               // all devices have a table
}

func (w *watcher) list(ctx context.Context) (listed, error) {
	client := w.lender.kernel.DM()
	list, err := client.List(ctx)
	if err != nil {
		return listed{}, err
	}
	l := listed{make(map[dm.Listed]bool, len(list)), make(map[dm.Disk]bool, len(list)), map[dm.Disk]bool{}, true}
	for _, d := range list {
		disk := dm.DiskOf(d.Number)
		if isLent(d.Name) {
			l.lent[disk] = true
			continue
		}
		runs := w.seen[disk]
		if !runs {
			info, err := client.Info(ctx, d.Name)
			if err != nil && !errors.Is(err, dm.ErrNotFound) {
				return listed{}, err
			}
			runs = err == nil && info.Active
		}
		l.devices[d], l.disks[disk], l.whole = runs, runs, l.whole && runs
	}
	return l, nil
}

// maxMade is how many lent disks are remembered until the kernel's message that they were
// made.
const maxMade = 4096

// keepMade says whether lent disks are remembered until the kernel's message that they were
// made.
func (l *Lender) keepMade(keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent = nil
	if keep {
		l.lent = map[dm.Disk]bool{}
	}
}

// makes remembers a lent disk. It is called before the disk can be removed.
func (l *Lender) makes(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lent == nil {
		return
	}
	if len(l.lent) == maxMade { // left over are those whose message was read before makes was called
		clear(l.lent)
	}
	l.lent[dm.DiskOf(number)] = true
}

// made reports whether a new disk was lent, and forgets it.
func (l *Lender) made(d dm.Disk) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.lent[d]
	delete(l.lent, d)
	return was
}

// forget makes the next use of each pool look at it again.
func (l *Lender) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.states {
		s.mu.Lock()
		s.at = time.Time{}
		s.mu.Unlock()
	}
}
