package tree

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/meta"
)

// fresh is how long a layout is taken for current without a look at the sources.
const fresh = time.Second

// lately is how short before the next look a request must have come for the keeper to take
// the look by itself. A mount that nobody asks any more leaves its sources alone.
const lately = 100 * time.Millisecond

// keeper is the one goroutine that looks whether the sources changed, and replaces the tree's
// layout if they did. It looks once a second, as long as requests come: they find what it
// has seen. The first request after a pause wakes the keeper and waits for its look.
type keeper struct {
	tree  *Tree
	began time.Time

	asked   atomic.Bool  // a request came lately
	looked  atomic.Int64 // when the last look ended, in nanoseconds since began
	looking atomic.Bool  // a look is under way, or a request waits for one
	work    chan job
	stop    context.CancelFunc // nil before start
	done    sync.WaitGroup

	// of the goroutine
	sources   []*source
	complaint string // the error of the last look
}

// job is work for the keeper's goroutine.
type job struct {
	do   func(context.Context)
	done chan struct{} // closed afterwards
}

func newKeeper(t *Tree, sources []meta.Source) *keeper {
	return &keeper{tree: t, began: time.Now(), work: make(chan job), sources: newSources(sources)}
}

// start makes the first layout, and begins to keep it current.
func (k *keeper) start(ctx context.Context) error {
	err := k.refresh(ctx)
	k.looked.Store(int64(time.Since(k.began)))
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.done.Go(func() { k.run(running) })
	return nil
}

func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(fresh - lately)
	defer timer.Stop()
	soon := false // the next look is due when the timer fires, and not lately before
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-k.work:
			j.do(ctx)
			close(j.done)
		case <-timer.C:
			switch {
			case !soon:
				k.asked.Store(false)
				soon = true
				timer.Reset(lately)
				continue
			case !k.asked.Load():
				continue // the next request wakes it
			case k.looking.CompareAndSwap(false, true):
				k.look(ctx)
			}
		}
		soon = false
		timer.Reset(fresh - lately)
	}
}

// close ends the keeper and closes the pools.
func (k *keeper) close() error {
	if k.stop != nil {
		k.stop()
		k.done.Wait()
	}
	var errs []error
	for _, s := range k.sources {
		for _, p := range s.pools {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// do does work in the keeper's goroutine, and waits for it unless ctx is done. began reports
// whether the work has begun, or will.
func (k *keeper) do(ctx context.Context, work func(context.Context)) (began bool) {
	j := job{do: work, done: make(chan struct{})}
	select {
	case k.work <- j:
	case <-ctx.Done():
		return false
	}
	select {
	case <-j.done:
	case <-ctx.Done():
	}
	return true
}

// current is the layout as it is now: what has changed in the sources is in it after a
// second at the latest. A request that comes while the keeper looks gets the layout from
// before.
func (t *Tree) current(ctx context.Context) *layout.Layout {
	k := t.keeper
	if !k.asked.Load() {
		k.asked.Store(true)
	}
	stale := time.Since(k.began)-time.Duration(k.looked.Load()) > fresh
	if stale && k.looking.CompareAndSwap(false, true) && !k.do(ctx, k.look) {
		k.looking.Store(false)
	}
	return t.layout.Load()
}

// lookNow makes the layout current, whenever that was last done.
func (t *Tree) lookNow(ctx context.Context) {
	t.keeper.do(ctx, func(ctx context.Context) {
		t.keeper.looking.Store(true)
		t.keeper.look(ctx)
	})
}

// look makes the layout current.
func (k *keeper) look(ctx context.Context) {
	defer k.looking.Store(false)
	err := k.refresh(ctx)
	k.looked.Store(int64(time.Since(k.began)))
	if ctx.Err() != nil {
		return
	}
	if text := fmt.Sprint(err); err != nil && text != k.complaint {
		k.complaint = text
		k.tree.log.Warn("the sources cannot be read again, what was known of them is shown", "error", err)
	} else if err == nil {
		k.complaint = ""
	}
}

// refresh makes a new layout if the sources have changed. A source that cannot be read keeps
// what is known of it.
func (k *keeper) refresh(ctx context.Context) error {
	first := k.tree.layout.Load() == nil
	changed := first
	var errs []error
	for _, s := range k.sources {
		c, err := s.refresh(ctx, k.tree.opener)
		changed = changed || c
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if first && err != nil {
		return err
	}
	if changed {
		k.layOut()
	}
	return err
}

// layOut makes a new layout of what is known of the sources, and closes what is not there
// any more.
func (k *keeper) layOut() {
	t := k.tree
	before, now := t.layout.Load(), time.Now()
	if before == nil {
		now = k.modified() // the same at every mount of what has not changed
	}
	var sources []layout.Source
	for _, s := range k.sources {
		sources = append(sources, s.layout())
	}
	after, changes := layout.Build(sources, before, layout.Options{Now: now, Log: t.log})
	for _, v := range changes.Gone {
		r := t.rootOf(v)
		r.Volume.Leave()
		t.drop(r)
		t.leases.Abandon(r.Volume)
	}
	for _, v := range changes.Kept {
		t.rootOf(v).Volume.SetRecord(v.Record)
	}
	for _, v := range changes.Fresh {
		r := &root{Slot: v.Slot, Root: volume.New(v).At(layout.Place{})}
		t.slots.Add(v.Slot, r)
	}
	for i, s := range k.sources {
		s.tellMisfits(t.log, after.Sections[i])
	}
	t.layout.Store(after)
}

// modified is when the newest of the pools' metadata were last written.
func (k *keeper) modified() time.Time {
	var newest int64
	for _, s := range k.sources {
		for _, p := range s.pools {
			newest = max(newest, p.When())
		}
	}
	return time.Unix(0, newest)
}

// Warnings are what cannot be shown, or only in part, of what the sources name: records and
// pools that are damaged. Damage in a volume is none of them.
func (t *Tree) Warnings() (list []error) {
	t.keeper.do(context.Background(), func(context.Context) {
		for _, s := range t.keeper.sources {
			list = append(append(list, s.warnings...), s.misfits...)
			for _, p := range s.pools {
				list = append(list, p.Problems()...)
			}
		}
	})
	return list
}
