package tree

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// takeSlot takes one of the max slots: a free one, that of the longest idle
// volume, or, in turn, the next that somebody gives up.
func (ls *leases) takeSlot(ctx context.Context, v *volume) error {
	ls.mu.Lock()
	if ls.slots < ls.max {
		ls.slots++
		ls.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	place := ls.queue.PushBack(mine)
	victim := ls.victim()
	ls.mu.Unlock()
	if victim != nil {
		ls.log.Debug("closing the longest idle volume to make room", "volume", victim.vol.name, "for", v.name)
		ls.finish(victim)
	}

	timer := time.NewTimer(ls.timeout)
	defer timer.Stop()
	var err error
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		select {
		case <-mine: // at the same moment
			return nil
		default:
		}
		ls.log.Warn("every volume that may be open is busy", "volume", v.name, "max_active", ls.max, "waited", ls.timeout)
		err = fmt.Errorf("%s: %d volumes are open and all are busy (--max-active), for %v (--open-timeout): %w", v.name, ls.max, ls.timeout, syscall.EBUSY)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	select {
	case <-mine:
		// The slot came at the same moment.
		ls.giveSlot()
	default:
		ls.queue.Remove(place)
	}
	return err
}

const (
	// grace is how long a volume stays open after a use where newcomers wait: who
	// walks in it comes again at once, and would have to wait in turn for each
	// request.
	grace = 50 * time.Millisecond
	// turn is how long a volume has been open when there is no grace any more, and
	// how long newcomers have to be willing to wait for it.
	turn = time.Second
)

// graceOf is how long an open volume that is not used any more stays open where
// newcomers wait. Called with mu held.
func (ls *leases) graceOf(l *lease) time.Duration {
	if ls.timeout < turn || time.Since(l.opened) > turn {
		return 0
	}
	return grace
}

// victim takes the longest idle volume out, to be closed for a newcomer, if there
// are more of them than volumes that are closed already. Where all were just used
// there is none now, but later. Called with mu held.
func (ls *leases) victim() *lease {
	if ls.queue.Len() <= ls.closing {
		return nil
	}
	soonest := grace
	for e := ls.unused.Front(); e != nil; e = e.Next() {
		l := e.Value.(*lease)
		left := ls.graceOf(l) - time.Since(l.since)
		if left <= 0 {
			ls.retire(l)
			return l
		}
		soonest = min(soonest, left)
	}
	if ls.unused.Len() > 0 {
		ls.wake(soonest)
	}
	return nil
}

// giveSlot passes a slot to the newcomer whose turn it is, or frees it. Called
// with mu held.
func (ls *leases) giveSlot() {
	if front := ls.queue.Front(); front != nil {
		close(ls.queue.Remove(front).(chan struct{}))
		return
	}
	ls.slots--
}
