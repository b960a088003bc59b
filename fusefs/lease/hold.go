package lease

// Hold keeps a resource open for longer than a call, as an open file does, until it is
// released or the resource is evicted.
type Hold[K Key, R Resource] struct {
	set   *Set[K, R]
	lease *Lease[K, R]
	end   func() error

	passthrough bool // guarded by Set.mu
}

// Hold makes a hold of a lease that the caller has acquired. The caller ends the hold by
// Hold.Take, and only then gives the lease back. If the resource is evicted before that, end is
// called, and the lease is given back without the caller. ok is false if the resource is being
// evicted already: then the caller gives the lease back.
func (s *Set[K, R]) Hold(l *Lease[K, R], end func() error) (h *Hold[K, R], ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.state == closing {
		return nil, false
	}
	h = &Hold[K, R]{set: s, lease: l, end: end}
	if l.holds == nil {
		l.holds = make(map[*Hold[K, R]]struct{})
	}
	l.holds[h] = struct{}{}
	return h, true
}

// Take ends the hold. If ok is true, the caller closes its file and then gives the lease back by
// Set.Release. If ok is false, an eviction has done both.
func (h *Hold[K, R]) Take() (l *Lease[K, R], ok bool) {
	h.set.mu.Lock()
	defer h.set.mu.Unlock()
	_, ok = h.lease.holds[h]
	delete(h.lease.holds, h)
	return h.lease, ok
}

// PassThrough records that reads of the hold are passed through from now on, until the hold
// ends. It returns false if an eviction has ended the hold: then the caller must not pass reads
// through.
func (h *Hold[K, R]) PassThrough() bool {
	h.set.mu.Lock()
	defer h.set.mu.Unlock()
	_, ok := h.lease.holds[h]
	h.passthrough = h.passthrough || ok
	return ok
}

// PassesThrough reports whether reads of any hold are passed through.
func (s *Set[K, R]) PassesThrough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.held {
		for h := range l.holds {
			if h.passthrough {
				return true
			}
		}
	}
	return false
}
