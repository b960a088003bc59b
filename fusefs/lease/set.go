package lease

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"thintree/thin/wait"
)

// Key names a resource. Its methods are called with locks held, so they wait for nothing.
type Key interface {
	comparable
	fmt.Stringer
	// Gone reports whether what the key names does not exist any more. Its resource is
	// closed with its last use then.
	Gone() bool
}

// Resource is what a lease keeps open. Its methods may be called concurrently, but for
// Close.
type Resource interface {
	// Close closes it, once nobody uses it.
	Close() error
	// Revoke takes it from those who read it without asking: they get errors from then on.
	Revoke(ctx context.Context) error
	// MaxIdle is how long it may stay open unused; 0 if it does not matter. It waits for
	// nothing.
	MaxIdle() time.Duration
}

// Options say how many leases there are, and how long.
type Options struct {
	Max     int           // how many resources may be open at once; at least 1
	Idle    time.Duration // how long an unused one stays open; ≤ 0: for ever
	Timeout time.Duration // how long a newcomer waits for its turn
	Log     *slog.Logger  // not nil
}

// Set is the leases of one kind of resource. Its methods may be called concurrently.
type Set[K Key, R Resource] struct {
	Options
	load func(context.Context, K) (R, error)
	log  *slog.Logger

	mu      sync.Mutex
	held    map[K]*Lease[K, R] // opening, used, idle and closing
	slots   int                // of Max, how many are taken
	idle    list.List          // of *Lease that are idle, the longest first
	queue   list.List          // of chan struct{}, newcomers in turn; a slot is given by closing one
	closing int                // how many leases are closing
	timer   *time.Timer        // calls expire; nil if nothing is to expire
	next    time.Time          // when timer fires
	closed  bool
	ahead   bool // a resource is opened by OpenAhead

	running context.Context // until Close
	stop    context.CancelFunc

	background sync.WaitGroup // of opens and closes that no caller waits for
}

// NewSet makes a set whose resources are opened by load. The context of load is done if all
// callers have given up.
func NewSet[K Key, R Resource](o Options, load func(context.Context, K) (R, error)) *Set[K, R] {
	o.Max = max(o.Max, 1)
	s := &Set[K, R]{Options: o, load: load, log: o.Log, held: make(map[K]*Lease[K, R])}
	s.running, s.stop = context.WithCancel(context.Background())
	return s
}

// patience is how long a caller that got a signal waits all the same: most opens are done
// by then.
const patience = time.Second

// Acquire opens a resource, or joins those who use it. The caller gives the lease back by
// Release. The context ends the caller's wait, but not the open, if other callers wait for
// it. Errors are those of load; ESHUTDOWN after Close; EBUSY if all resources that may be
// open were busy for Timeout.
func (s *Set[K, R]) Acquire(ctx context.Context, key K) (*Lease[K, R], error) {
	for {
		l, closing, err := s.join(key)
		if err != nil {
			return nil, err
		}
		if closing {
			select {
			case <-l.gone:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if err := wait.For(ctx, l.ready, patience); err != nil {
			s.Release(l)
			return nil, err
		}
		if l.err == nil {
			return l, nil
		}
		if !errors.Is(l.err, context.Canceled) || ctx.Err() != nil {
			return nil, l.err
		}
		// All who waited before had given up.
	}
}

// join adds a caller to the resource's lease, or begins one. It does not if the lease is
// closing.
func (s *Set[K, R]) join(key K) (l *Lease[K, R], isClosing bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, fmt.Errorf("%s: the tree is being closed: %w", key, syscall.ESHUTDOWN)
	}
	l = s.held[key]
	if l == nil {
		return s.begin(key), false, nil
	}
	if l.state != closing {
		s.use(l)
	}
	return l, l.state == closing, nil
}

// open waits for a slot and opens the resource.
func (s *Set[K, R]) open(ctx context.Context, l *Lease[K, R]) {
	defer l.cancel()
	var r R
	err := s.takeSlot(ctx, l.key)
	slot := err == nil
	if err == nil {
		r, err = s.load(ctx, l.key)
	}
	s.mu.Lock()
	closeNow := false
	if err != nil {
		s.failed(l, err)
		if slot {
			s.giveSlot()
		}
	} else {
		closeNow = s.opened(l, r)
	}
	s.mu.Unlock()
	if closeNow {
		s.finish(l)
	}
}

// Release gives a lease back.
func (s *Set[K, R]) Release(l *Lease[K, R]) {
	s.mu.Lock()
	l.refs--
	closeNow := false
	switch {
	case l.refs > 0 || l.err != nil:
	case l.state == opening:
		l.cancel()
	default:
		closeNow = l.state == closing || s.rest(l)
	}
	s.mu.Unlock()
	if closeNow {
		s.finish(l)
	}
}

// Each calls do for each resource that is open, with the set's lock held.
func (s *Set[K, R]) Each(do func(K, R)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, l := range s.held {
		if l.isOpen() {
			do(key, l.resource)
		}
	}
}

// Peek is the resource of a key if it is open. It is no use of the lease, so the resource
// may be closed at any time.
func (s *Set[K, R]) Peek(key K) (r R, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.held[key]; l != nil && l.isOpen() {
		return l.resource, true
	}
	return r, false
}

// Holds reports whether a resource is open, or on its way there or back.
func (s *Set[K, R]) Holds(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key] != nil
}

// Close closes all resources that nobody uses. The others are closed when they are released.
func (s *Set[K, R]) Close() {
	s.mu.Lock()
	s.closed = true
	s.stop()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	var done []*Lease[K, R]
	for front := s.idle.Front(); front != nil; front = s.idle.Front() {
		l := front.Value.(*Lease[K, R])
		s.retire(l)
		done = append(done, l)
	}
	s.mu.Unlock()
	for _, l := range done {
		s.finish(l)
	}
	s.background.Wait()
}
