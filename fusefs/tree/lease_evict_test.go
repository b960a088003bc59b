package tree

import (
	"testing"
	"testing/synctest"
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
