package guest

import (
	"context"
	"sync"
	"testing"
	"time"

	"thintree/thin/block"
	"thintree/thin/reader"
)

// looked is a context that calls back once, when it is first asked whether it has ended.
type looked struct {
	context.Context
	once sync.Once
	call func()
}

func (l *looked) Err() error {
	l.once.Do(l.call)
	return l.Context.Err()
}

// TestYieldHoldsWhileTheReaderOpensThePoolAgain lets the owner deactivate a pool. The reader sees
// that and opens the halves again. The owner wants these in the same moment.
func TestYieldHoldsWhileTheReaderOpensThePoolAgain(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		newGroup(t)
		p, err := reader.Open(t.Context(), block.At("/dev/mapper/vg-pool_tmeta"), block.At("/dev/mapper/vg-pool_tdata"), reader.Options{})
		noError(t, err)
		defer p.Close()
		if p.LiveBy() == "" {
			t.Fatal("the pool is not live")
		}
		sh(t, "dmsetup remove vg-pool-tpool")
		yielded := false
		ctx := &looked{Context: t.Context(), call: func() {
			yielded = true
			p.Yield(10 * time.Second)
		}}
		changed, err := p.Refresh(ctx)
		noError(t, err)
		if !changed || !yielded || p.LiveBy() != "" {
			t.Fatalf("changed %v, yielded %v, live by %q", changed, yielded, p.LiveBy())
		}
		sh(t, "dmsetup remove vg-pool_tdata && dmsetup remove vg-pool_tmeta")
	})
}
