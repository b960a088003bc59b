package thin

import (
	"context"
	"sync"
)

// locks has a lock for each name. Only locks that are held or waited for take memory. The zero
// value is ready to use.
type locks struct {
	mu    sync.Mutex
	names map[string]*lock // guarded by mu
}

type lock struct {
	held  chan struct{} // full while it is held
	users int           // how many callers hold it or wait; guarded by locks.mu
}

// lock locks a name. It waits for the lock until ctx is done.
func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	own := l.names[name]
	if own == nil {
		own = &lock{held: make(chan struct{}, 1)}
		if l.names == nil {
			l.names = map[string]*lock{}
		}
		l.names[name] = own
	}
	own.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(l.names, name)
		}
	}
	select {
	case own.held <- struct{}{}:
		return func() { <-own.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
