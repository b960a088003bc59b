// Package wait says which waits a signal ends.
//
// A context that is done ends everything. A signal to the process that asked is less: on a
// disk filesystem it does not fail a read. It only ends a wait for somebody else, such as
// for a volume's turn to be opened. So it is a value of the context, and those who wait
// for somebody else look at it, by [For].
package wait

import (
	"context"
	"time"
)

// Signal is the key of a context's value: a <-chan struct{} that is closed when the caller
// of a request gets a signal.
type Signal struct{}

// For waits until ready is closed. If the context is done before, the error is its own. If
// the caller gets a signal, For waits for patience more, and the error is context.Canceled
// then.
func For(ctx context.Context, ready <-chan struct{}, patience time.Duration) error {
	signal, _ := ctx.Value(Signal{}).(<-chan struct{})
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-signal:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return context.Canceled
	}
}
