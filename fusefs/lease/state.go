package lease

import (
	"container/list"
	"context"
	"time"
)

// state is the state of a lease that is in the set.
type state int

const (
	opening state = iota
	used
	idle
	closing
)

// Lease is a resource that is open, or being opened or closed.
type Lease[K Key, R Resource] struct {
	key    K
	ready  chan struct{}      // closed once resource or err is set
	cancel context.CancelFunc // gives up opening
	gone   chan struct{}      // closed once the resource is closed

	resource R         // set before ready is closed
	err      error     // set before ready is closed
	opened   time.Time // set before ready is closed

	// guarded by Set.mu
	state   state
	refs    int
	since   time.Time     // when it became idle
	element *list.Element // in Set.idle
	peeked  bool          // it was opened only for a peek
	holds   map[*Hold[K, R]]struct{}
}

// Resource is the open resource.
func (l *Lease[K, R]) Resource() R { return l.resource }

// isOpen reports whether the resource was opened. Called with Set.mu held.
func (l *Lease[K, R]) isOpen() bool { return l.state != opening && l.err == nil }

// begin starts to open a resource for its first caller. Called with mu held.
func (s *Set[K, R]) begin(key K) *Lease[K, R] {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lease[K, R]{key: key, state: opening, ready: make(chan struct{}), gone: make(chan struct{}), cancel: cancel, refs: 1}
	s.held[key] = l
	go s.open(ctx, l)
	return l
}

// opened ends an open that succeeded. closeNow says that all callers have given up and the lease
// must be closed: the caller does that by finish. Called with mu held.
func (s *Set[K, R]) opened(l *Lease[K, R], r R) (closeNow bool) {
	l.resource, l.opened, l.state = r, time.Now(), used
	close(l.ready)
	return l.refs == 0 && s.rest(l)
}

// failed ends an open that failed. Called with mu held.
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
		s.idle.Remove(l.element)
		l.element, l.state = nil, used
	}
}

// rest makes a lease without callers idle, or closing if it must be closed. If closeNow is true
// the caller closes it by finish. Called with mu held.
func (s *Set[K, R]) rest(l *Lease[K, R]) (closeNow bool) {
	wanted := s.queue.Len() > s.closing
	if s.closed || l.key.Gone() || wanted && s.graceOf(l) == 0 {
		s.close(l)
		return true
	}
	l.state, l.since = idle, time.Now()
	l.element = s.idle.PushBack(l)
	if wanted {
		s.wake(grace)
	}
	if left := s.idleTime(l); left > 0 {
		s.wake(left)
	}
	return false
}

// retire makes an idle lease closing. The caller closes it by finish. Called with mu held.
func (s *Set[K, R]) retire(l *Lease[K, R]) {
	s.idle.Remove(l.element)
	l.element = nil
	s.close(l)
}

// cut makes a lease closing, and returns its holds, which the caller has to end. The lease's last
// caller closes it by finish. closeNow says that it has none: then the caller of cut does that.
// Called with mu held.
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

// close marks a lease as closing. Called with mu held.
func (s *Set[K, R]) close(l *Lease[K, R]) {
	l.state = closing
	s.closing++
}

// finish closes the resource of a lease that is closing and has no callers, and passes its
// slot on.
func (s *Set[K, R]) finish(l *Lease[K, R]) {
	if err := l.resource.Close(); err != nil {
		s.log.Warn("cannot close a volume", "volume", l.key.String(), "error", err)
	}
	s.mu.Lock()
	delete(s.held, l.key)
	s.closing--
	s.giveSlot()
	s.mu.Unlock()
	close(l.gone)
}
