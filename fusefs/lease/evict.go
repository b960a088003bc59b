package lease

import (
	"context"
	"fmt"
	"syscall"

	"thintree/thin/wait"
)

// BusyError says that a resource cannot be evicted, because holds of it are passed through:
// their reads are invisible to the package. It unwraps to EBUSY.
type BusyError struct {
	Name  string // of the key
	Holds int    // how many holds are passed through
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s: busy: %d open files in it are read by the kernel itself: close them, or use --lazy, after which their reads fail", e.Name, e.Holds)
}

// Unwrap makes errors.Is(err, syscall.EBUSY) true.
func (e *BusyError) Unwrap() error { return syscall.EBUSY }

// Evict ends the holds of the resources that match, closes the resources, and returns when they
// are closed. If a hold of a resource is passed through and lazy is false, the resource stays
// open, and the error is a *[BusyError]. If lazy is true the resource is revoked and closed.
// match is called with the set's lock held.
func (s *Set[K, R]) Evict(ctx context.Context, match func(K) bool, lazy bool) (errs []error) {
	s.mu.Lock()
	var list []*Lease[K, R]
	for key, l := range s.held {
		if match(key) {
			list = append(list, l)
		}
	}
	s.mu.Unlock()
	for _, l := range list {
		if err := s.evict(ctx, l, lazy); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s *Set[K, R]) evict(ctx context.Context, l *Lease[K, R], lazy bool) error {
	if err := wait.For(ctx, l.ready, patience); err != nil {
		return err
	}
	s.mu.Lock()
	if l.err != nil || l.state == closing {
		s.mu.Unlock()
		return wait.For(ctx, l.gone, 0)
	}
	passthrough := 0
	for h := range l.holds {
		if h.passthrough {
			passthrough++
		}
	}
	if passthrough > 0 && !lazy {
		s.mu.Unlock()
		return &BusyError{Name: l.key.String(), Holds: passthrough}
	}
	holds, closeNow := s.cut(l)
	s.mu.Unlock()
	go func() {
		if passthrough > 0 {
			if err := l.resource.Revoke(context.Background()); err != nil {
				s.log.Warn("cannot end the reads of files that are passed through", "volume", l.key.String(), "error", err)
			}
		}
		if closeNow {
			s.finish(l)
		}
		for h := range holds {
			if err := h.end(); err != nil {
				s.log.Warn("cannot close a file", "volume", l.key.String(), "error", err)
			}
			s.Release(l)
		}
	}()
	return wait.For(ctx, l.gone, 0)
}

// Abandon closes the resource of a key that is gone, once nobody uses it. It revokes the resource
// at once: reads that are passed through could return another resource's bytes.
func (s *Set[K, R]) Abandon(key K) {
	s.mu.Lock()
	l := s.held[key]
	switch {
	case l == nil || l.state == closing:
		s.mu.Unlock()
		return
	case l.state == idle:
		s.retire(l)
		s.mu.Unlock()
		s.finish(l)
		return
	}
	l.refs++
	s.mu.Unlock()
	go func() {
		<-l.ready
		if l.err == nil {
			if err := l.resource.Revoke(context.Background()); err != nil {
				s.log.Warn("cannot end the reads of a volume that is in use by somebody else", "volume", key.String(), "error", err)
			}
		}
		s.Release(l)
	}()
}
