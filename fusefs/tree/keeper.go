package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/meta"
)

// fresh is how long a layout counts as current without a look at the sources.
const fresh = time.Second

// lately is a span before the keeper's next look. The keeper looks on its own only if a request
// came within that span: an idle mount must not read its sources.
const lately = 100 * time.Millisecond

// keeper is the one goroutine that looks whether the sources have changed, and replaces the
// tree's layout if they have. It looks once a second as long as requests come, so requests need
// not look themselves. The first request after a pause wakes the keeper and waits for its look.
type keeper struct {
	tree  *Tree
	began time.Time

	asked   atomic.Bool  // a request came lately
	looked  atomic.Int64 // when the last look ended, in nanoseconds since began
	looking atomic.Bool  // a look is under way, or a request waits for one
	work    chan job
	stop    context.CancelFunc // nil before start
	done    sync.WaitGroup

	// only for the goroutine
	sources   []*source
	complaint string // the error of the last look
}

// job is work for the keeper's goroutine.
type job struct {
	do   func(context.Context)
	done chan struct{} // closed afterwards
}

func newKeeper(t *Tree, sources []meta.Source) *keeper {
	return &keeper{tree: t, began: time.Now(), work: make(chan job), sources: newSources(sources, t.opener)}
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
	soon := false // the timer fires when the next look is due, no longer lately before that
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
				continue // the next request wakes the keeper
			case k.looking.CompareAndSwap(false, true):
				k.look(ctx)
			}
		}
		soon = false
		timer.Reset(fresh - lately)
	}
}

// close stops the keeper and closes the pools.
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
		errs = append(errs, s.disks.Close())
	}
	return errors.Join(errs...)
}

// do runs work in the keeper's goroutine, and waits until it is done or ctx is. began reports
// whether the keeper has accepted the work.
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

// current returns the current layout. It contains a change of the sources after a second at the
// latest. A request that comes while the keeper looks gets the layout from before.
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

// lookNow looks at the sources, no matter when the last look was.
func (t *Tree) lookNow(ctx context.Context) {
	t.keeper.do(ctx, func(ctx context.Context) {
		t.keeper.looking.Store(true)
		t.keeper.look(ctx)
	})
}

// look makes the layout current. It logs an error once.
func (k *keeper) look(ctx context.Context) {
	defer k.looking.Store(false)
	err := k.refresh(ctx)
	k.looked.Store(int64(time.Since(k.began)))
	if ctx.Err() != nil {
		return
	}
	if text := fmt.Sprint(err); err != nil && text != k.complaint {
		k.complaint = text
		k.tree.log.Warn("the sources cannot be read again, so their last known state is shown", "error", err)
	} else if err == nil {
		k.complaint = ""
	}
}

// refresh makes a new layout if the sources have changed. A source that cannot be read keeps its
// last known state.
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
		none := !slices.ContainsFunc(k.sources, func(s *source) bool { return s.cat != nil })
		if none || !k.tree.opts.MayMiss {
			return err
		}
		k.tree.log.Warn("not all sources can be read now", "error", err)
		err = nil
	}
	if changed {
		k.layOut()
	}
	return err
}

// layOut makes a new layout of the sources as they were last read, and drops the volumes that
// are no longer in it.
func (k *keeper) layOut() {
	t := k.tree
	before, now := t.layout.Load(), time.Now()
	if before == nil {
		now = k.modified() // every mount of unchanged pools shows the same time
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
	for _, v := range slices.Concat(changes.Kept, changes.Fresh) {
		if v.Record.ExternalOrigin == "" {
			continue
		}
		var origin *volume.Volume
		if v.Origin != nil {
			origin = t.rootOf(v.Origin).Volume
		}
		t.rootOf(v).Volume.SetOrigin(origin)
	}
	for i, s := range k.sources {
		s.tellMisfits(t.log, after.Sections[i])
	}
	t.layout.Store(after)
}

// modified is the latest modification time of the pools' metadata and of disk images.
func (k *keeper) modified() time.Time {
	var newest int64
	for _, s := range k.sources {
		for _, p := range s.pools {
			newest = max(newest, p.When())
		}
		newest = max(newest, s.disks.When())
	}
	return time.Unix(0, newest)
}

// Warnings lists the records and pools of the sources that cannot be shown, or only in part,
// because they are damaged. It does not list damage in a volume.
func (t *Tree) Warnings() (list []error) {
	t.keeper.do(context.Background(), func(context.Context) {
		for _, s := range t.keeper.sources {
			list = append(append(list, s.warnings...), s.misfits...)
			for _, p := range s.pools {
				list = append(list, p.Problems()...)
			}
			list = append(list, s.disks.Problems()...)
		}
	})
	return list
}
