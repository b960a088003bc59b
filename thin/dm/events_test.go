package dm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"thintree/thin/dm"
)

func TestWaitEvent(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	activate(t, c, oneError, "a", "b")
	type result struct {
		info dm.Info
		err  error
	}
	wait := func(ctx context.Context, after uint32) chan result {
		done := make(chan result, 1)
		go func() {
			info, err := c.WaitEvent(ctx, "a", after)
			done <- result{info, err}
		}()
		return done
	}
	event := func(name string) {
		t.Helper()
		if err := k.Event(name); err != nil {
			t.Fatal(err)
		}
	}
	still := func(done chan result) {
		t.Helper()
		select {
		case r := <-done:
			t.Fatalf("it did not wait: %+v", r)
		case <-time.After(20 * time.Millisecond):
		}
	}

	first := wait(t.Context(), 0)
	still(first)
	event("b") // of another device
	still(first)
	event("a")
	if r := <-first; r.err != nil || r.info.EventNr != 1 {
		t.Errorf("%+v", r)
	}
	second := wait(t.Context(), 1)
	still(second)
	event("a")
	if r := <-second; r.err != nil || r.info.EventNr != 2 {
		t.Errorf("%+v", r)
	}
	if r := <-wait(t.Context(), 0); r.err != nil || r.info.EventNr != 2 { // the event was before the wait
		t.Errorf("%+v", r)
	}

	ctx, cancel := context.WithCancel(t.Context())
	third, fourth := wait(ctx, 2), wait(t.Context(), 2)
	still(third)
	cancel()
	if r := <-third; !errors.Is(r.err, context.Canceled) {
		t.Errorf("%+v", r)
	}
	if err := c.Deactivate(t.Context(), "a", dm.Hidden); err != nil {
		t.Fatal(err)
	}
	if r := <-fourth; !errors.Is(r.err, dm.ErrNotFound) {
		t.Errorf("%+v", r)
	}
}
