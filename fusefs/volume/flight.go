package volume

import "context"

// flight is one read that many callers wait for. It goes on if a waiting caller is
// interrupted, even the one that started it.
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
		return *new(T), ctx.Err()
	}
}

// landed reports whether the read has ended.
func (f *flight[T]) landed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// failed reports whether the read has ended with an error.
func (f *flight[T]) failed() bool { return f.landed() && f.err != nil }
