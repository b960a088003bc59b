package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestSignalEndsAWaitAfterSomePatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.WithValue(t.Context(), Signal{}, closed())
		begin := time.Now()
		if err := For(ctx, make(chan struct{}), time.Second); !errors.Is(err, context.Canceled) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestWhatComesWithinThePatienceIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		time.AfterFunc(time.Second/2, func() { close(ready) })
		if err := For(context.WithValue(t.Context(), Signal{}, closed()), ready, time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestContextEndsAWaitAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(nil)
	for _, ctx := range []context.Context{ctx, context.WithValue(ctx, Signal{}, closed())} {
		if err := For(ctx, make(chan struct{}), time.Hour); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if err := For(t.Context(), closed(), 0); err != nil {
		t.Error(err)
	}
}
