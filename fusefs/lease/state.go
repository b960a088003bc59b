package lease

import (
	"container/list"
	"context"
	"time"
)

// state is where a lease is on its way. A lease that is in no set is none of these.
type state int

const (
	opening state = iota
	used
	idle
	closing
)

// Lease is one resource that is open, or on its way there or back.
type Lease[K Key, R Resource] struct {
	key    K
	ready  chan struct{}      // closed once resource or err is set
	cancel context.CancelFunc // gives up opening
	gone   chan struct{}      // closed once the resource is closed

	resource R         // set before ready is closed
	err      error     // set before ready is closed
	opened   time.Time // set before ready is closed

	// guarded by Set.mu
	state  state
	refs   int
	since  time.Time     // when it became idle
	place  *list.Element // in Set.idle
	peeked bool          // it was only looked at since it was opened
	holds  map[*Hold[K, R]]struct{}
}

// Resource is what was opened.
func (l *Lease[K, R]) Resource() R { return l.resource }

// isOpen reports whether the resource was opened. Called with Set.mu held.
func (l *Lease[K, R]) isOpen() bool { return l.state != opening && l.err == nil }

// begin begins to open a resource for a first caller. Called with mu held.
func (s *Set[K, R]) begin(key K) *Lease[K, R] {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lease[K, R]{key: key, state: opening, ready: make(chan struct{}), gone: make(chan struct{}), cancel: cancel, refs: 1}
	s.held[key] = l
	go s.open(ctx, l)
	return l
}

// opened is the end of an open that succeeded. If all callers have given up, and the lease
// must go, the caller closes it by finish. Called with mu held.
func (s *Set[K, R]) opened(l *Lease[K, R], r R) (closeNow bool) {
	l.resource, l.opened, l.state = r, time.Now(), used
	close(l.ready)
	return l.refs == 0 && s.rest(l)
}

// failed is the end of an open that failed. Called with mu held.
func (s *Set[K, R]) failed(l *Lease[K, R], err error) {
	l.err = err
	delete(s.held, l.key)
	close(l.ready)
	close(l.gone)
}

// use adds a caller. Called with mu held.
func (s *Set[K, R]) use(l *Lease[K, R]) {
	l.refs++
	l.peeked = false
	if l.state == idle {
		s.idle.Remove(l.place)
		l.place, l.state = nil, used
	}
}

// rest is what comes of a lease without a caller: it is idle, or must go, so that the
// caller closes it by finish. Called with mu held.
func (s *Set[K, R]) rest(l *Lease[K, R]) (closeNow bool) {
	wanted := s.queue.Len() > s.closing
	if s.closed || l.key.Gone() || wanted && s.graceOf(l) == 0 {
		s.close(l)
		return true
	}
	l.state, l.since = idle, time.Now()
	l.place = s.idle.PushBack(l)
	if wanted {
		s.wake(grace)
	}
	if left := s.idleTime(l); left > 0 {
		s.wake(left)
	}
	return false
}

// retire takes an idle lease out, to be closed by finish. Called with mu held.
func (s *Set[K, R]) retire(l *Lease[K, R]) {
	s.idle.Remove(l.place)
	l.place = nil
	s.close(l)
}

// cut takes a lease from its callers: the last of them closes it by finish, or the caller
// of cut if there is none. It returns what holds it open. Called with mu held.
func (s *Set[K, R]) cut(l *Lease[K, R]) (holds map[*Hold[K, R]]struct{}, closeNow bool) {
	closeNow = l.state == idle
	if closeNow {
		s.retire(l)
	} else {
		s.close(l)
	}
	holds, l.holds = l.holds, nil
	return holds, closeNow
}

// close makes a lease closing. Called with mu held.
func (s *Set[K, R]) close(l *Lease[K, R]) {
	l.state = closing
	s.closing++
}

// finish closes the resource of a lease that is closing and has no callers, and passes its
// slot on.
func (s *Set[K, R]) finish(l *Lease[K, R]) {
	if err := l.resource.Close(); err != nil {
		s.log.Warn("closing a volume", "volume", l.key.String(), "error", err)
	}
	s.mu.Lock()
	delete(s.held, l.key)
	s.closing--
	s.giveSlot()
	s.mu.Unlock()
	close(l.gone)
}
