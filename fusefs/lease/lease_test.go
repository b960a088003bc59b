package lease

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

	"thintree/thin/wait"
)

// key is a key whose Gone a test sets.
type key struct {
	name string
	gone atomic.Bool
}

func (k *key) String() string { return k.name }
func (k *key) Gone() bool     { return k.gone.Load() }

func keys(n int) []*key {
	list := make([]*key, n)
	for i := range list {
		list[i] = &key{name: fmt.Sprint("v", i)}
	}
	return list
}

// thing is a resource whose close takes a second.
type thing struct {
	bench   *bench
	revoked atomic.Bool
	maxIdle time.Duration
}

func (r *thing) Close() error {
	time.Sleep(time.Second)
	r.bench.active.Add(-1)
	return nil
}

func (r *thing) Revoke(context.Context) error {
	r.revoked.Store(true)
	return nil
}

func (r *thing) MaxIdle() time.Duration { return r.maxIdle }

// bench counts what a set does to things. Opening one takes a second.
type bench struct {
	*Set[*key, *thing]
	opens, active, most atomic.Int64
	fail                atomic.Bool
	maxIdle             time.Duration
}

func newBench(o Options) *bench {
	b := &bench{}
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	b.Set = NewSet(o, func(ctx context.Context, _ *key) (*thing, error) {
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
		return &thing{bench: b, maxIdle: b.maxIdle}, nil
	})
	return b
}

func (b *bench) mustAcquire(t *testing.T, k *key) *Lease[*key, *thing] {
	t.Helper()
	l, err := b.Acquire(t.Context(), k)
	if err != nil {
		t.Fatalf("acquire %s: %v", k, err)
	}
	return l
}

func TestManyFirstAccessesOpenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 4, Timeout: time.Minute})
		v := keys(1)[0]
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { b.Release(b.mustAcquire(t, v)) })
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
		b := newBench(Options{Max: 4, Timeout: time.Minute, Idle: 10 * time.Second})
		v := keys(2)
		held := b.mustAcquire(t, v[0])
		b.Release(b.mustAcquire(t, v[1]))
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if n := b.active.Load(); n != 1 {
			t.Fatalf("%d volumes are open, want the one that is held", n)
		}
		b.Release(held)
		time.Sleep(9 * time.Second)
		b.Release(b.mustAcquire(t, v[0])) // a use starts the idle time again
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

func TestVolumeIsClosedSoonAfterAPeek(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 4, Timeout: time.Minute})
		v := keys(2)
		look := func(v *key) {
			b.Release(b.mustAcquire(t, v))
			b.EndPeek(v)
		}
		look(v[1])
		look(v[0])
		b.Release(b.mustAcquire(t, v[0])) // a caller enters it after the peek
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !b.Has(v[0]) || b.Has(v[1]) || b.opens.Load() != 2 {
			t.Errorf("entered: open %v; only peeked at: open %v; %d opens", b.Has(v[0]), b.Has(v[1]), b.opens.Load())
		}
		b.Close()
	})
}

func TestWithoutIdleTimeVolumesStayOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 4, Timeout: time.Minute})
		b.Release(b.mustAcquire(t, keys(1)[0]))
		time.Sleep(24 * time.Hour)
		if n := b.active.Load(); n != 1 {
			t.Errorf("%d volumes are open, want 1", n)
		}
		b.Close()
		if n := b.active.Load(); n != 0 {
			t.Errorf("%d volumes are open after the shutdown", n)
		}
	})
}

func TestNeverMoreThanMaxAreOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 8, Timeout: time.Hour, Idle: time.Minute})
		all := keys(300)
		var wg sync.WaitGroup
		for w := range 50 {
			wg.Go(func() {
				for i := range all {
					l := b.mustAcquire(t, all[(i*7+w*13)%len(all)])
					time.Sleep(10 * time.Millisecond)
					b.Release(l)
				}
			})
		}
		wg.Wait()
		if n := b.most.Load(); n > 8 {
			t.Errorf("%d volumes were open at once", n)
		}
		b.Close()
		synctest.Wait()
		if b.active.Load() != 0 || b.slots != 0 || len(b.held) != 0 {
			t.Errorf("left over: %d open, %d slots, %d leases", b.active.Load(), b.slots, len(b.held))
		}
	})
}

func TestLongestIdleIsEvictedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 2, Timeout: time.Minute, Idle: time.Hour})
		v := keys(3)
		b.Release(b.mustAcquire(t, v[0]))
		b.Release(b.mustAcquire(t, v[1]))
		b.Release(b.mustAcquire(t, v[0])) // now v1 is idle for longer
		b.Release(b.mustAcquire(t, v[2]))
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
		b := newBench(Options{Max: 1, Timeout: time.Hour, Idle: time.Hour})
		v := keys(5)
		first := b.mustAcquire(t, v[0])
		var order []int
		var wg sync.WaitGroup
		for i := 1; i < 5; i++ {
			wg.Go(func() {
				l := b.mustAcquire(t, v[i])
				order = append(order, i)
				b.Release(l)
			})
			synctest.Wait()
		}
		b.Release(first)
		wg.Wait()
		if fmt.Sprint(order) != "[1 2 3 4]" {
			t.Errorf("served in the order %v", order)
		}
	})
}

func TestBusyVolumesMakeTheNewcomerGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		v := keys(2)
		held := b.mustAcquire(t, v[0])
		began := time.Now()
		if _, err := b.Acquire(t.Context(), v[1]); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("got %v, want EBUSY", err)
		}
		if d := time.Since(began); d != time.Minute {
			t.Errorf("gave up after %v", d)
		}
		b.Release(held)
		b.Release(b.mustAcquire(t, v[1]))
	})
}

func TestInterruptEndsTheWaitOfOneOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		v := keys(1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		interrupted := make(chan error)
		go func() {
			_, err := b.Acquire(ctx, v)
			interrupted <- err
		}()
		synctest.Wait()
		patient := make(chan error)
		go func() {
			_, err := b.Acquire(t.Context(), v)
			patient <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-interrupted; !errors.Is(err, context.Canceled) {
			t.Errorf("the interrupted caller got %v", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("the other caller got %v", err)
		}
		if n := b.opens.Load(); n != 1 {
			t.Errorf("opened %d times", n)
		}
	})
}

func TestSignalEndsOnlyALongWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		v := keys(2)
		interrupted := make(chan struct{})
		close(interrupted)
		ctx := context.WithValue(t.Context(), wait.Signal{}, (<-chan struct{})(interrupted))
		held := b.mustAcquire(t, v[0])
		if l, err := b.Acquire(ctx, v[0]); err != nil {
			t.Errorf("joining an open volume: %v", err)
		} else {
			b.Release(l)
		}
		began := time.Now()
		if _, err := b.Acquire(ctx, v[1]); !errors.Is(err, context.Canceled) || time.Since(began) != patience {
			t.Errorf("waiting for a turn: %v after %v", err, time.Since(began))
		}
		b.Release(held)
	})
}

func TestOpenIsGivenUpWhenNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		v := keys(1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		go b.Acquire(ctx, v)
		synctest.Wait()
		cancel()
		// A caller that comes now must not get the error of the one that gave up.
		b.Release(b.mustAcquire(t, v))
		b.Close()
		if b.active.Load() != 0 || b.slots != 0 {
			t.Errorf("left over: %d open, %d slots", b.active.Load(), b.slots)
		}
	})
}

func TestFailedOpenPassesItsSlotOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		v := keys(2)
		b.fail.Store(true)
		if _, err := b.Acquire(t.Context(), v[0]); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v, want EIO", err)
		}
		b.fail.Store(false)
		b.Release(b.mustAcquire(t, v[1]))
	})
}

func TestGoneVolumeIsClosedWithItsLastUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 2, Timeout: time.Minute, Idle: time.Hour})
		v := keys(2)
		held := b.mustAcquire(t, v[0])
		b.Release(b.mustAcquire(t, v[1]))
		for _, k := range v {
			k.gone.Store(true)
			b.Abandon(k)
		}
		if n := b.active.Load(); n != 1 {
			t.Fatalf("%d volumes are open, want the one that is held", n)
		}
		b.Release(held)
		if n := b.active.Load(); n != 0 {
			t.Errorf("%d volumes are open", n)
		}
	})
}
func TestIdleVolumeMakesRoomEvenIfNewcomersDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1})
		all := keys(2)
		for i := range 60 {
			b.Release(b.mustAcquire(t, all[i%2]))
		}
		b.Close()
		synctest.Wait()
		if n := b.active.Load(); n != 0 {
			t.Errorf("%d volumes are left open", n)
		}
	})
}

// TestWalkerIsNotSentToTheEndOfTheQueueAtEachStep: one caller, the walker, uses a resource again
// and again, while another one waits for the only slot.
func TestWalkerIsNotSentToTheEndOfTheQueueAtEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Idle: time.Hour, Timeout: time.Minute})
		v := keys(2)
		walker := b.mustAcquire(t, v[0])
		var served time.Duration
		began := time.Now()
		go func() {
			l, err := b.Acquire(t.Context(), v[1])
			if err != nil {
				t.Error(err)
				return
			}
			served = time.Since(began)
			b.Release(l)
		}()
		synctest.Wait()
		for range 10 {
			b.Release(walker)
			time.Sleep(grace / 2)
			walker = b.mustAcquire(t, v[0])
		}
		if n := b.opens.Load(); n != 1 {
			t.Errorf("%d opens while the walker used the resource all the time", n)
		}
		for served == 0 {
			b.Release(walker)
			time.Sleep(grace / 2)
			walker = b.mustAcquire(t, v[0])
		}
		// Two opens and a close take a second each.
		if most := turn + 3*time.Second + grace; served > most {
			t.Errorf("the other caller was served after %v, want %v at most", served, most)
		}
		b.Release(walker)
		b.Close()
	})
}
