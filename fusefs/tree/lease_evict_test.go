package tree

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestIdleVolumeMakesRoomAlsoWithoutAnyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1})
		all := volumes(2)
		for i := range 60 {
			b.release(b.mustAcquire(t, all[i%2]))
		}
		b.shutdown()
		synctest.Wait()
		if n := b.active.Load(); n != 0 {
			t.Errorf("%d volumes are left open", n)
		}
	})
}

// TestWalkerIsNotSentToTheEndOfTheQueueAtEachStep has somebody use a volume again
// and again while another one waits for the only slot.
func TestWalkerIsNotSentToTheEndOfTheQueueAtEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{MaxActive: 1, Idle: time.Hour, OpenTimeout: time.Minute})
		v := volumes(2)
		walker := b.mustAcquire(t, v[0])
		var served time.Duration
		began := time.Now()
		go func() {
			l, err := b.acquire(t.Context(), v[1])
			if err != nil {
				t.Error(err)
				return
			}
			served = time.Since(began)
			b.release(l)
		}()
		synctest.Wait()
		for range 10 {
			b.release(walker)
			time.Sleep(grace / 2)
			walker = b.mustAcquire(t, v[0])
		}
		if n := b.opens.Load(); n != 1 {
			t.Errorf("%d opens while it was used all the time", n)
		}
		for served == 0 {
			b.release(walker)
			time.Sleep(grace / 2)
			walker = b.mustAcquire(t, v[0])
		}
		// Two opens and a close take a second each.
		if most := turn + 3*time.Second + grace; served > most {
			t.Errorf("the other one was served after %v, want %v at most", served, most)
		}
		b.release(walker)
		b.shutdown()
	})
}
