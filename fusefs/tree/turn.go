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
	place := ls.queue.PushBack(turn)
	var victim *lease
	if front := ls.unused.Front(); front != nil {
		victim = front.Value.(*lease)
		ls.retire(victim)
	}
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

// giveSlot passes a slot to the newcomer whose turn it is, or frees it. Called
// with mu held.
func (ls *leases) giveSlot() {
	if front := ls.queue.Front(); front != nil {
		close(ls.queue.Remove(front).(chan struct{}))
		return
	}
	ls.slots--
}
