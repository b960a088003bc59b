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

// Key names a resource. Its methods are called with locks held, so they must not wait.
type Key interface {
	comparable
	fmt.Stringer
	// Gone reports whether the key is no longer valid. Its resource is then closed as soon as
	// nobody uses it.
	Gone() bool
}

// Resource is something that a lease keeps open. Its methods may be called concurrently, except
// for Close.
type Resource interface {
	// Close closes the resource. It is called when nobody uses the resource any more.
	Close() error
	// Revoke makes all later reads that are passed through fail.
	Revoke(ctx context.Context) error
	// MaxIdle is how long the resource may stay open unused, 0 if there is no limit. It must
	// not wait.
	MaxIdle() time.Duration
}

// Options say how many resources may be open, and for how long.
type Options struct {
	Max     int           // how many resources may be open at once; at least 1
	Idle    time.Duration // how long an unused one stays open; for ever if 0 or negative
	Timeout time.Duration // how long a newcomer waits for its turn
	Log     *slog.Logger  // not nil
}

// Set is a set of leases. Its methods may be called concurrently.
type Set[K Key, R Resource] struct {
	Options
	load func(context.Context, K) (R, error)
	log  *slog.Logger

	mu      sync.Mutex
	held    map[K]*Lease[K, R] // opening, used, idle and closing
	slots   int                // how many of the Max slots are taken
	idle    list.List          // of *Lease that are idle, the longest first
	queue   list.List          // of chan struct{}, newcomers in turn; closing one gives it a slot
	closing int                // how many leases are closing
	timer   *time.Timer        // calls expire; nil if nothing is to expire
	next    time.Time          // when timer fires
	closed  bool
	ahead   bool // OpenAhead is opening or using a resource

	running context.Context // done after Close
	stop    context.CancelFunc

	background sync.WaitGroup // opens and closes that no caller waits for
}

// NewSet makes a set that opens its resources by load. The context of a load is cancelled when
// all callers that wait for it have given up.
func NewSet[K Key, R Resource](o Options, load func(context.Context, K) (R, error)) *Set[K, R] {
	o.Max = max(o.Max, 1)
	s := &Set[K, R]{Options: o, load: load, log: o.Log, held: make(map[K]*Lease[K, R])}
	s.running, s.stop = context.WithCancel(context.Background())
	return s
}

// patience is how long a caller still waits after a signal: most opens are done by then.
const patience = time.Second

// Acquire opens a resource, or shares it with the callers that have it open. The caller gives
// the lease back by Release. If ctx ends, so does the caller's wait, but the open goes on if
// other callers wait for it. The error is one of load, ESHUTDOWN after Close, or EBUSY if Max
// resources were open and busy for Timeout.
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
		// All callers that waited for that open had given up. Try again.
	}
}

// join adds a caller to the lease of a resource, or begins a lease if there is none. It does not
// add the caller if the lease is closing.
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

// Peek returns the resource of a key if it is open. Peek does not count as a use, so the
// resource may be closed at any time.
func (s *Set[K, R]) Peek(key K) (r R, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.held[key]; l != nil && l.isOpen() {
		return l.resource, true
	}
	return r, false
}

// Has reports whether a resource is open, or being opened or closed.
func (s *Set[K, R]) Has(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key] != nil
}

// Close closes all resources that nobody uses. The others are closed with their last Release.
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
