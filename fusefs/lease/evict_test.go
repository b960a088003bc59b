package lease

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// hold makes a hold of a resource. ended counts how often an eviction ended it.
func (b *bench) hold(t *testing.T, k *key) (h *Hold[*key, *thing], ended *atomic.Int64) {
	t.Helper()
	ended = new(atomic.Int64)
	h, ok := b.Hold(b.mustAcquire(t, k), func() error { ended.Add(1); return nil })
	if !ok {
		t.Fatal("the resource is being closed")
	}
	return h, ended
}

// end ends a hold as its owner does. It returns false if an eviction has ended it before.
func (b *bench) end(h *Hold[*key, *thing]) bool {
	l, ok := h.Take()
	if ok {
		b.Release(l)
	}
	return ok
}

func (b *bench) evictAll(t *testing.T, lazy bool) error {
	t.Helper()
	return errors.Join(b.Evict(t.Context(), func(*key) bool { return true }, lazy)...)
}

func TestEvictedResourceIsClosedNow(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T, *bench, *key){
		"idle":       func(t *testing.T, b *bench, k *key) { b.Release(b.mustAcquire(t, k)) },
		"with holds": func(t *testing.T, b *bench, k *key) { b.hold(t, k); b.hold(t, k) },
		"about to open": func(t *testing.T, b *bench, k *key) {
			go func() {
				if l, err := b.Acquire(t.Context(), k); err == nil {
					b.Release(l)
				}
			}()
		},
		"in use for some time": func(t *testing.T, b *bench, k *key) {
			l := b.mustAcquire(t, k)
			time.AfterFunc(time.Minute, func() { b.Release(l) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
				k := keys(1)[0]
				prepare(t, b, k)
				synctest.Wait()
				if err := b.evictAll(t, false); err != nil {
					t.Fatal(err)
				}
				if b.active.Load() != 0 || b.slots != 0 {
					t.Errorf("%d are open, %d slots taken", b.active.Load(), b.slots)
				}
				b.Release(b.mustAcquire(t, k))
				if n := b.opens.Load(); n != 2 {
					t.Errorf("opened %d times, want once more", n)
				}
				b.Close()
			})
		})
	}
}

func TestEvictionEndsEachHoldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		h, ended := b.hold(t, keys(1)[0])
		if err := b.evictAll(t, false); err != nil {
			t.Fatal(err)
		}
		if ended.Load() != 1 || b.end(h) || h.PassThrough() || b.slots != 0 {
			t.Errorf("ended %d times, %d slots are taken", ended.Load(), b.slots)
		}
	})
}

func TestResourceThatIsPassedThroughIsEvictedLazilyOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		k := keys(1)[0]
		b.hold(t, k)
		h, ended := b.hold(t, k)
		if b.PassesThrough() || !h.PassThrough() || !b.PassesThrough() {
			t.Error("PassesThrough is wrong")
		}
		r, _ := b.Peek(k)
		busy, ok := errors.AsType[*BusyError](b.evictAll(t, false))
		if !ok || busy.Holds != 1 || busy.Name != "v0" || !errors.Is(busy, syscall.EBUSY) || r.revoked.Load() || ended.Load() != 0 {
			t.Errorf("%v, revoked %v, ended %d times", busy, r.revoked.Load(), ended.Load())
		}
		if err := b.evictAll(t, true); err != nil || !r.revoked.Load() || ended.Load() != 1 {
			t.Errorf("%v, revoked %v, ended %d times", err, r.revoked.Load(), ended.Load())
		}
		if b.slots != 0 || b.PassesThrough() {
			t.Errorf("%d slots are taken", b.slots)
		}
	})
}

func TestAbandonedResourceIsRevokedAndClosedWithItsLastUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 1, Timeout: time.Minute, Idle: time.Hour})
		k := keys(1)[0]
		h, _ := b.hold(t, k)
		r, _ := b.Peek(k)
		k.gone.Store(true)
		b.Abandon(k)
		synctest.Wait()
		if !r.revoked.Load() || b.active.Load() != 1 {
			t.Errorf("revoked %v, %d are open", r.revoked.Load(), b.active.Load())
		}
		if !b.end(h) || b.active.Load() != 0 {
			t.Errorf("%d are open", b.active.Load())
		}
	})
}

func TestIdleResourceStaysOpenForItsMaxIdleAtMost(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Idle: time.Hour}, {}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(o)
			b.maxIdle = 3 * time.Second
			b.Release(b.mustAcquire(t, keys(1)[0]))
			time.Sleep(2 * time.Second)
			if b.active.Load() != 1 {
				t.Error("the resource is closed too soon")
			}
			time.Sleep(3 * time.Second)
			if b.active.Load() != 0 {
				t.Error("the resource is still open")
			}
		})
	}
}

func TestResourcesAreOpenedAheadOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Max: 2, Timeout: time.Minute, Idle: time.Hour})
		k := keys(3)
		used := 0
		ahead := func(k *key) {
			b.OpenAhead(k, func(_ context.Context, l *Lease[*key, *thing]) { used++ })
		}
		ahead(k[0])
		ahead(k[1])
		synctest.Wait()
		time.Sleep(2 * time.Second)
		if !b.Has(k[0]) || b.Has(k[1]) || used != 1 {
			t.Errorf("open: %v and %v, used %d times", b.Has(k[0]), b.Has(k[1]), used)
		}
		if b.AcquireOpen(k[1]) != nil {
			t.Error("a lease of a resource that is not open was returned")
		}
		first := b.AcquireOpen(k[0])
		second := b.mustAcquire(t, k[1])
		ahead(k[2]) // does nothing, because it would have to wait
		synctest.Wait()
		if b.Has(k[2]) {
			t.Error("a resource that has to wait is opened ahead")
		}
		b.Release(first)
		b.Release(second)
		b.Close()
	})
}
