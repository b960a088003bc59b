package tree

import (
	"context"
	"time"

	"thintree/fusefs/volume"
)

// watchAgain is how long watch waits before it tries again to watch device-mapper.
const watchAgain = 10 * time.Second

// watch looks which devices are active whenever device-mapper devices appear or disappear,
// until ctx is done. It does so even if no requests come, because the kernel answers from its
// caches. It reads the pools only if files are passed through, because their reads are
// invisible to us. It calls began once it watches.
func (t *Tree) watch(ctx context.Context, began func()) {
	missed := false // device-mapper was not watched for some time
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
			disks := s.Plain.(*volume.Disks)
			if unseen {
				disks.Unseen()
			}
			disks.Observe(ctx, t.opts.Kernel)
			moved = moved || disks.Moved()
		}
		t.opener.SetWatched(true)
		began()
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
		t.log.Warn("device-mapper cannot be watched: answers about a live pool are cached for a second at most", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
		missed = true
	}
}
