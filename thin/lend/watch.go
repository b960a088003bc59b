package lend

import (
	"context"
	"time"
)

// Watch calls changed whenever a device-mapper device has come or gone, by
// whomever, until ctx is done: what [Lender.Users] tells may be another thing
// then.
func (l *Lender) Watch(ctx context.Context, changed func()) error {
	return l.kernel.DM().WatchAll(ctx, func() {
		l.mu.Lock()
		states := make([]*state, 0, len(l.states))
		for _, s := range l.states {
			states = append(states, s)
		}
		l.mu.Unlock()
		for _, s := range states {
			s.mu.Lock()
			s.at = time.Time{}
			s.mu.Unlock()
		}
		changed()
	})
}
