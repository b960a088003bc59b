package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"thintree/thin/block"
)

// nothing is a device without bytes that tells when it is closed.
type nothing struct {
	block.Reader
	closed func()
}

func (n nothing) Close() error { n.closed(); return nil }

// bench counts what leases do to volumes. Opening and closing take a second each.
type bench struct {
	*leases
	opens, active, most atomic.Int64
	fail                atomic.Bool
}

func newBench(o Options) *bench {
	b := &bench{}
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	b.leases = newLeases(o, func(ctx context.Context, v *volume) (*content, error) {
		b.opens.Add(1)
		n := b.active.Add(1)
		for old := b.most.Load(); n > old && !b.most.CompareAndSwap(old, n); old = b.most.Load() {
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			b.active.Add(-1)
			return nil, ctx.Err()
		}
		if b.fail.Load() {
			b.active.Add(-1)
			return nil, syscall.EIO
		}
		return &content{device: nothing{closed: func() {
			time.Sleep(time.Second)
			b.active.Add(-1)
		}}}, nil
	})
	return b
}

func volumes(n int) []*volume {
	list := make([]*volume, n)
	for i := range list {
		list[i] = &volume{identity: identity{name: fmt.Sprint("v", i)}}
	}
	return list
}

func (b *bench) mustAcquire(t *testing.T, v *volume) *lease {
	t.Helper()
	l, err := b.acquire(t.Context(), v)
	if err != nil {
		t.Fatalf("acquire %s: %v", v.name, err)
	}
	return l
}

func TestManyFirstAccessesOpenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 4, OpenTimeout: time.Minute})
		v := volumes(1)[0]
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { b.release(b.mustAcquire(t, v)) })
		}
		wg.Wait()
		if n := b.opens.Load(); n != 1 {
			t.Errorf("opened %d times", n)
		}
	})
}

func TestIdleVolumeIsClosedAndUsedOneIsNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 4, OpenTimeout: time.Minute, Idle: 10 * time.Second})
		v := volumes(2)
		held := b.mustAcquire(t, v[0])
		b.release(b.mustAcquire(t, v[1]))
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if n := b.active.Load(); n != 1 {
			t.Fatalf("%d volumes are open, want the one that is held", n)
		}
		b.release(held)
		time.Sleep(9 * time.Second)
		b.release(b.mustAcquire(t, v[0])) // a use begins the idle time anew
		time.Sleep(9 * time.Second)
		if b.opens.Load() != 2 {
			t.Fatalf("opened %d times, want 2: a use did not prolong the lease", b.opens.Load())
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := b.active.Load(); n != 0 {
			t.Errorf("%d volumes are open after the idle time", n)
		}
	})
}

func TestVolumeThatIsOnlyLookedAtIsClosedSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 4, OpenTimeout: time.Minute})
		v := volumes(2)
		look := func(v *volume) {
			b.release(b.mustAcquire(t, v))
			b.passBy(v)
		}
		look(v[1])
		look(v[0])
		b.release(b.mustAcquire(t, v[0])) // who had it looked at walks in
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !b.holds(v[0]) || b.holds(v[1]) || b.opens.Load() != 2 {
			t.Errorf("walked into: open %v; looked at: open %v; %d opens", b.holds(v[0]), b.holds(v[1]), b.opens.Load())
		}
		b.shutdown()
	})
}

func TestWithoutIdleTimeVolumesStayOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 4, OpenTimeout: time.Minute})
		b.release(b.mustAcquire(t, volumes(1)[0]))
		time.Sleep(24 * time.Hour)
		if n := b.active.Load(); n != 1 {
			t.Errorf("%d volumes are open, want 1", n)
		}
		b.shutdown()
		if n := b.active.Load(); n != 0 {
			t.Errorf("%d volumes are open after the shutdown", n)
		}
	})
}

func TestNeverMoreThanMaxAreOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 8, OpenTimeout: time.Hour, Idle: time.Minute})
		all := volumes(300)
		var wg sync.WaitGroup
		for w := range 50 {
			wg.Go(func() {
				for i := range all {
					l := b.mustAcquire(t, all[(i*7+w*13)%len(all)])
					time.Sleep(10 * time.Millisecond)
					b.release(l)
				}
			})
		}
		wg.Wait()
		if n := b.most.Load(); n > 8 {
			t.Errorf("%d volumes were open at once", n)
		}
		b.shutdown()
		synctest.Wait()
		if b.active.Load() != 0 || b.slots != 0 || len(b.held) != 0 {
			t.Errorf("left over: %d open, %d slots, %d leases", b.active.Load(), b.slots, len(b.held))
		}
	})
}

func TestLongestIdleIsEvictedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 2, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(3)
		b.release(b.mustAcquire(t, v[0]))
		b.release(b.mustAcquire(t, v[1]))
		b.release(b.mustAcquire(t, v[0])) // now v1 is idle for longer
		b.release(b.mustAcquire(t, v[2]))
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.held[v[0]] == nil || b.held[v[1]] != nil || b.held[v[2]] == nil {
			t.Errorf("open: %v %v %v, want v0 and v2", b.held[v[0]] != nil, b.held[v[1]] != nil, b.held[v[2]] != nil)
		}
	})
}

func TestNewcomersWaitInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Hour, Idle: time.Hour})
		v := volumes(5)
		first := b.mustAcquire(t, v[0])
		var order []int
		var wg sync.WaitGroup
		for i := 1; i < 5; i++ {
			wg.Go(func() {
				l := b.mustAcquire(t, v[i])
				order = append(order, i)
				b.release(l)
			})
			synctest.Wait()
		}
		b.release(first)
		wg.Wait()
		if fmt.Sprint(order) != "[1 2 3 4]" {
			t.Errorf("served in the order %v", order)
		}
	})
}

func TestBusyVolumesMakeTheNewcomerGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(2)
		held := b.mustAcquire(t, v[0])
		began := time.Now()
		if _, err := b.acquire(t.Context(), v[1]); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("got %v, want EBUSY", err)
		}
		if d := time.Since(began); d != time.Minute {
			t.Errorf("gave up after %v", d)
		}
		b.release(held)
		b.release(b.mustAcquire(t, v[1]))
	})
}

func TestInterruptEndsTheWaitOfOneOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		interrupted := make(chan error)
		go func() {
			_, err := b.acquire(ctx, v)
			interrupted <- err
		}()
		synctest.Wait()
		patient := make(chan error)
		go func() {
			_, err := b.acquire(t.Context(), v)
			patient <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-interrupted; !errors.Is(err, context.Canceled) {
			t.Errorf("the interrupted one got %v", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("the other one got %v", err)
		}
		if n := b.opens.Load(); n != 1 {
			t.Errorf("opened %d times", n)
		}
	})
}

func TestSignalEndsOnlyALongWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(2)
		interrupted := make(chan struct{})
		close(interrupted)
		ctx := context.WithValue(t.Context(), Interrupt{}, (<-chan struct{})(interrupted))
		held := b.mustAcquire(t, v[0])
		if l, err := b.acquire(ctx, v[0]); err != nil {
			t.Errorf("joining an open volume: %v", err)
		} else {
			b.release(l)
		}
		began := time.Now()
		if _, err := b.acquire(ctx, v[1]); !errors.Is(err, context.Canceled) || time.Since(began) != patience {
			t.Errorf("waiting for a turn: %v after %v", err, time.Since(began))
		}
		b.release(held)
	})
}

func TestOpenThatNobodyWaitsForIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		go b.acquire(ctx, v)
		synctest.Wait()
		cancel()
		// Whoever comes now is not told that somebody else gave up.
		b.release(b.mustAcquire(t, v))
		b.shutdown()
		if b.active.Load() != 0 || b.slots != 0 {
			t.Errorf("left over: %d open, %d slots", b.active.Load(), b.slots)
		}
	})
}

func TestFailedOpenGivesItsSlotOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(2)
		b.fail.Store(true)
		if _, err := b.acquire(t.Context(), v[0]); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v, want EIO", err)
		}
		b.fail.Store(false)
		b.release(b.mustAcquire(t, v[1]))
	})
}

func TestGoneVolumeIsClosedWithItsLastUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 2, OpenTimeout: time.Minute, Idle: time.Hour})
		v := volumes(2)
		held := b.mustAcquire(t, v[0])
		b.release(b.mustAcquire(t, v[1]))
		for _, v := range v {
			v.gone.Store(true)
			b.forget(v)
		}
		if n := b.active.Load(); n != 1 {
			t.Fatalf("%d volumes are open, want the one that is held", n)
		}
		b.release(held)
		if n := b.active.Load(); n != 0 {
			t.Errorf("%d volumes are open", n)
		}
	})
}
