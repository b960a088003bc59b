package lease

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// takeSlot takes one of the Max slots: a free one, or that of the longest idle resource. If there
// is neither, it waits in turn for the next slot that becomes free.
func (s *Set[K, R]) takeSlot(ctx context.Context, key K) error {
	s.mu.Lock()
	if s.slots < s.Max {
		s.slots++
		s.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	waiting := s.queue.PushBack(mine)
	victim := s.victim()
	s.mu.Unlock()
	if victim != nil {
		s.log.Debug("closing the longest idle volume to make room", "volume", victim.key.String(), "for", key.String())
		s.finish(victim)
	}

	timer := time.NewTimer(s.Timeout)
	defer timer.Stop()
	var err error
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		select {
		case <-mine: // the slot came at the same moment
			return nil
		default:
		}
		s.log.Warn("cannot open a volume: as many are open as may be, and all are busy", "volume", key.String(), "max_active", s.Max, "waited", s.Timeout)
		err = fmt.Errorf("%s: %d volumes are open (--max-active) and all were busy for %v (--open-timeout): %w", key, s.Max, s.Timeout, syscall.EBUSY)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-mine:
		// The slot came at the same moment.
		s.giveSlot()
	default:
		s.queue.Remove(waiting)
	}
	return err
}

const (
	// grace is how long a resource stays open after a use if newcomers wait. Without it, a
	// caller that makes one request after the other would wait in turn for each of them.
	grace = 50 * time.Millisecond
	// turn is how long after its open a resource still gets grace. There is no grace at all if
	// newcomers give up earlier than that.
	turn = time.Second
)

// graceOf is how long a resource stays open after its last use if newcomers wait. Called
// with mu held.
func (s *Set[K, R]) graceOf(l *Lease[K, R]) time.Duration {
	if s.Timeout < turn || time.Since(l.opened) > turn {
		return 0
	}
	return grace
}

// victim makes the longest idle lease closing and returns it, if there are more newcomers than
// leases that are closing already. The caller closes it by finish. victim returns nil if all
// leases are still within their grace: then expire looks again later. Called with mu held.
func (s *Set[K, R]) victim() *Lease[K, R] {
	if s.queue.Len() <= s.closing {
		return nil
	}
	soonest := grace
	for e := s.idle.Front(); e != nil; e = e.Next() {
		l := e.Value.(*Lease[K, R])
		left := s.graceOf(l) - time.Since(l.since)
		if left <= 0 {
			s.retire(l)
			return l
		}
		soonest = min(soonest, left)
	}
	if s.idle.Len() > 0 {
		s.wake(soonest)
	}
	return nil
}

// giveSlot passes a slot to the newcomer whose turn it is, or frees it. Called with mu
// held.
func (s *Set[K, R]) giveSlot() {
	if front := s.queue.Front(); front != nil {
		close(s.queue.Remove(front).(chan struct{}))
		return
	}
	s.slots--
}
