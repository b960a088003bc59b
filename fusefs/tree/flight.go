package tree

import "context"

// flight is something that is read once for many who wait for it. It goes on
// when one of them is interrupted, also the first.
type flight[T any] struct {
	done  chan struct{} // closed once value and err are set
	value T
	err   error
}

func fly[T any](ctx context.Context, read func(context.Context) (T, error)) *flight[T] {
	f := newFlight[T]()
	f.start(ctx, read)
	return f
}

func newFlight[T any]() *flight[T] { return &flight[T]{done: make(chan struct{})} }

func (f *flight[T]) start(ctx context.Context, read func(context.Context) (T, error)) {
	ctx = context.WithoutCancel(ctx)
	go func() {
		f.value, f.err = read(ctx)
		close(f.done)
	}()
}

func (f *flight[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
