package fusefs

import (
	"context"
	"testing"

	"thintree/thin/wait"
)

func TestInterruptDoesNotEndARequestsContext(t *testing.T) {
	t.Parallel()
	interrupted := make(chan struct{})
	close(interrupted)
	ctx := context.Context(request{interrupted})
	if ctx.Err() != nil || ctx.Done() != nil {
		t.Errorf("the context is done: %v", ctx.Err())
	}
	ready := make(chan struct{})
	if err := wait.For(ctx, ready, 0); err == nil {
		t.Error("a wait for somebody else goes on")
	}
	child, cancel := context.WithCancel(ctx)
	cancel()
	if child.Err() == nil || wait.For(child, ready, 0) == nil {
		t.Error("the end of the work does not reach it")
	}
}

// The context of a request is made for each read.
func TestContextOfARequestIsNotAllocated(t *testing.T) {
	interrupted := make(chan struct{})
	use := func(ctx context.Context) bool { return ctx.Err() == nil }
	if n := testing.AllocsPerRun(100, func() { use(request{interrupted}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
