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
	turn := make(chan struct{})
	place := ls.queue.PushBack(newcomer{turn, time.Now()})
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
	case <-turn:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		select {
		case <-turn: // at the same moment
			return nil
		default:
		}
		ls.log.Warn("every volume that may be open is busy", "volume", v.name, "max_active", ls.max, "waited", ls.timeout)
		err = fmt.Errorf("%s: %d volumes are open and all are busy (--max-active), for %v (--open-timeout): %w", v.name, ls.max, ls.timeout, syscall.EBUSY)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	select {
	case <-turn:
		// The slot came at the same moment.
		ls.giveSlot()
	default:
		ls.queue.Remove(place)
	}
	return err
}

// newcomer waits for a slot.
type newcomer struct {
	turn  chan struct{} // closed when there is one
	since time.Time
}

const (
	// grace is how long a volume stays open after a use where newcomers wait: who
	// walks in it comes again at once, and would have to wait in turn for each
	// request.
	grace = 50 * time.Millisecond
	// longestGrace is how long a newcomer has waited when there is none any more, and
	// what they have to be willing to wait.
	longestGrace = time.Second
)

// graceNow is how long a volume that is not used any more may stay open. Called
// with mu held.
func (ls *leases) graceNow() time.Duration {
	front := ls.queue.Front()
	if front == nil || ls.timeout < longestGrace || time.Since(front.Value.(newcomer).since) > longestGrace {
		return 0
	}
	return grace
}

// victim takes the longest idle volume out, to be closed for a newcomer, if there
// are more of them than volumes that are closed already. Where it was just used
// there is none now, but later. Called with mu held.
func (ls *leases) victim() *lease {
	front := ls.unused.Front()
	if front == nil || ls.queue.Len() <= ls.closing {
		return nil
	}
	l := front.Value.(*lease)
	if left := ls.graceNow() - time.Since(l.since); left > 0 {
		ls.wake(left)
		return nil
	}
	ls.retire(l)
	return l
}

// giveSlot passes a slot to the newcomer whose turn it is, or frees it. Called
// with mu held.
func (ls *leases) giveSlot() {
	if front := ls.queue.Front(); front != nil {
		close(ls.queue.Remove(front).(newcomer).turn)
		return
	}
	ls.slots--
}
