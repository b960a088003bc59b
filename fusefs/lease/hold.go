package lease

// Hold keeps a resource open for longer than a call, as an open file does, until it is
// released or the resource is evicted.
type Hold[K Key, R Resource] struct {
	set   *Set[K, R]
	lease *Lease[K, R]
	end   func() error

	passed bool // guarded by Set.mu
}

// Hold makes a hold of a lease that the caller has acquired, and that it gives back by the
// hold's Release instead of its own. end is called if the resource is evicted. ok is false
// if it is being evicted already; the lease is the caller's to give back then.
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

// Take ends the hold, unless an eviction has. If ok, the caller closes what it holds and
// gives the lease back then, by Set.Release.
func (h *Hold[K, R]) Take() (l *Lease[K, R], ok bool) {
	h.set.mu.Lock()
	defer h.set.mu.Unlock()
	_, ok = h.lease.holds[h]
	delete(h.lease.holds, h)
	return h.lease, ok
}

// PassThrough says that the resource is read through the hold without asking from now on,
// so that nothing can end that but the hold's release. It is false if an eviction has ended
// the hold: then that must not begin.
func (h *Hold[K, R]) PassThrough() bool {
	h.set.mu.Lock()
	defer h.set.mu.Unlock()
	_, ok := h.lease.holds[h]
	h.passed = h.passed || ok
	return ok
}

// PassesThrough reports whether any resource is read without asking.
func (s *Set[K, R]) PassesThrough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.held {
		for h := range l.holds {
			if h.passed {
				return true
			}
		}
	}
	return false
}
