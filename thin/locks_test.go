package thin

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func TestOneCallerAtATimeHoldsALock(t *testing.T) {
	t.Parallel()
	var l locks
	var group sync.WaitGroup

	a, b := 0, 0
	for range 50 {
		for name, n := range map[string]*int{"a": &a, "b": &b} {
			group.Go(func() {
				unlock, err := l.lock(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				*n++
				unlock()
			})
		}
	}
	group.Wait()
	if a != 50 || b != 50 {
		t.Error(a, b)
	}
	if len(l.names) != 0 {
		t.Errorf("%d locks are kept", len(l.names))
	}
}

func TestWaitForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l locks
		unlock, err := l.lock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		waits := make(chan error)
		go func() {
			_, err := l.lock(ctx, "a")
			waits <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if len(l.names) != 1 {
			t.Errorf("%d locks are kept, one is held", len(l.names))
		}
		unlock()
		if len(l.names) != 0 {
			t.Errorf("%d locks are kept", len(l.names))
		}
	})
}
