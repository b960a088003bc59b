package lease

import "context"

// OpenAhead opens a resource in the background if it is not open, and calls use with its lease.
// It does nothing if the resource would have to wait for its turn, or if another resource is
// being opened ahead.
func (s *Set[K, R]) OpenAhead(key K, use func(context.Context, *Lease[K, R])) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.slots < s.Max || s.queue.Len() == 0 && s.idle.Len() > 0
	if s.closed || s.ahead || s.held[key] != nil || !room {
		return
	}
	s.ahead = true
	l := s.begin(key)
	s.background.Go(func() {
		if <-l.ready; l.err == nil {
			use(s.running, l)
		}
		s.Release(l)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ahead = false
	})
}

// AcquireOpen adds a caller to the lease of a resource that is open. It returns nil if the
// resource is not open.
func (s *Set[K, R]) AcquireOpen(key K) *Lease[K, R] {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.held[key]
	if l == nil || s.closed || l.state == opening || l.state == closing {
		return nil
	}
	s.use(l)
	return l
}
