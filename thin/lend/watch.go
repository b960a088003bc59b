package lend

import (
	"context"
	"errors"
	"slices"
	"time"

	"thintree/thin/dm"
)

// Watch calls changed whenever a device-mapper device has come or gone that was
// not lent, until ctx is done: what [Lender.Users] tells may be another thing then.
func (l *Lender) Watch(ctx context.Context, changed func()) error {
	var before []dm.Listed
	var failed error
	watching, stop := context.WithCancel(ctx)
	defer stop()
	err := l.kernel.DM().WatchAll(watching, func() {
		list, err := l.kernel.DM().List(ctx)
		if err != nil {
			failed = err
			stop()
			return
		}
		list = slices.DeleteFunc(list, func(d dm.Listed) bool { return isLent(d.Name) })
		if before != nil && slices.Equal(before, list) {
			return
		}
		before = append([]dm.Listed{}, list...)
		l.forget()
		changed()
	})
	if failed != nil {
		return failed
	}
	return errors.Join(err, ctx.Err())
}

// forget has all pools looked at again.
func (l *Lender) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.states {
		s.mu.Lock()
		s.at = time.Time{}
		s.mu.Unlock()
	}
}
