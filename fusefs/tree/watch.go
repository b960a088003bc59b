package tree

import (
	"context"
	"time"

	"thintree/fusefs/volume"
)

// watchAgain is after how long it is tried again to watch device-mapper.
const watchAgain = 10 * time.Second

// watch looks at the pools whenever device-mapper devices come or go, until ctx is done:
// also while no requests come, as the kernel keeps answers. It reads nothing of a pool then,
// unless files are passed through: their readers do not ask.
func (t *Tree) watch(ctx context.Context) {
	missed := false // there was a time without watching
	look := func(unseen bool) {
		unseen, missed = unseen || missed, false
		moved := false
		for _, s := range t.layout.Load().Sections {
			for _, p := range s.Pools {
				p := p.(*volume.Pool)
				if unseen {
					p.Unseen()
				}
				p.Observe(ctx, t.opts.Kernel)
				moved = moved || p.Moved()
			}
		}
		t.opener.SetWatched(true)
		switch {
		case t.leases.PassesThrough():
			t.lookNow(ctx)
		case moved:
			t.keeper.do(ctx, func(context.Context) { t.keeper.layOut() })
		}
	}
	for ctx.Err() == nil {
		err := t.opts.Kernel.Watch(ctx, look)
		t.opener.SetWatched(false)
		if ctx.Err() != nil {
			return
		}
		t.log.Warn("device-mapper cannot be watched: nothing of a live pool is kept for more than a second", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
		missed = true
	}
}
