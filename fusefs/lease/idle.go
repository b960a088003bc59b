package lease

import "time"

// peekedIdle is how long a resource stays open after a peek that nobody followed up: a caller
// that is about to enter the volume asks for it sooner.
const peekedIdle = 20 * time.Millisecond

// idleTime is how long an idle lease stays open. It stays open for ever if that is 0 or negative.
// Called with mu held.
func (s *Set[K, R]) idleTime(l *Lease[K, R]) time.Duration {
	if l.peeked {
		return peekedIdle
	}
	if most := l.resource.MaxIdle(); most > 0 && (s.Idle <= 0 || s.Idle > most) {
		return most
	}
	return s.Idle
}

// wake makes sure that expire runs no later than after the given time. Called with mu held.
func (s *Set[K, R]) wake(after time.Duration) {
	at := time.Now().Add(after)
	if s.timer != nil {
		if !at.Before(s.next) {
			return
		}
		s.timer.Stop()
	}
	s.timer, s.next = time.AfterFunc(after, s.expire), at
}

// expire closes the resources whose slots newcomers need, and those whose idle time is over.
func (s *Set[K, R]) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	now := time.Now()
	var done []*Lease[K, R]
	for l := s.victim(); l != nil; l = s.victim() {
		done = append(done, l)
	}
	for e := s.idle.Front(); e != nil; {
		l := e.Value.(*Lease[K, R])
		e = e.Next()
		time := s.idleTime(l)
		if left := time - now.Sub(l.since); time > 0 && left <= 0 {
			s.retire(l)
			done = append(done, l)
		} else if time > 0 && !s.closed {
			s.wake(left)
		}
	}
	for _, l := range done {
		s.log.Debug("closing an idle volume", "volume", l.key.String(), "idle", now.Sub(l.since).Round(time.Millisecond))
		s.background.Go(func() { s.finish(l) })
	}
}

// EndPeek closes a resource soon if nobody uses it.
func (s *Set[K, R]) EndPeek(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.held[key]; l != nil && l.state == idle {
		l.peeked = true
		s.wake(peekedIdle)
	}
}
