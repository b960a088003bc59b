package tree

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// usage is which devices of an active pool somebody else has active: read-only
// ones too, as that can change without a sign. What nobody has cannot change.
type usage struct {
	mu    sync.Mutex
	known bool            // it is; otherwise any may be active; guarded by mu
	users map[uint32]bool // guarded by mu
	begun map[uint32]int  // how often that began; guarded by mu

	moved atomic.Bool // it began since the view was made
}

func (u *usage) inUse(id uint32) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.known || u.users[id]
}

func (u *usage) activations(id uint32) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.begun[id]
}

// observe looks who has devices of the pool active, and tells whether somebody
// has begun to.
func (p *pool) observe(ctx context.Context, k Kernel) (moved bool) {
	if k == nil {
		return false
	}
	users, err := k.Users(ctx, p.record.Metadata)
	u := &p.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	// Where the pool is not active, and its reader has it that it is, the next look
	// tells.
	if u.known = err == nil; err != nil {
		return false
	}
	before := u.users
	u.users = make(map[uint32]bool, len(users))
	for id := range users {
		u.users[id] = true
		if before != nil && !before[id] {
			if u.begun == nil {
				u.begun = make(map[uint32]int)
			}
			u.begun[id]++
			moved = true
		}
	}
	if moved {
		u.moved.Store(true)
	}
	return moved
}

// watch looks at the pools whenever device-mapper devices come or go, until ctx is
// done: also while nobody asks for anything, as what was told holds until then.
func (t *Tree) watch(ctx context.Context) {
	look := func() {
		moved := false
		for _, s := range t.view.Load().parts {
			for _, p := range s.pools {
				moved = p.observe(ctx, t.opts.Kernel) || moved
			}
		}
		if moved {
			t.lookNow(ctx)
		}
	}
	for ctx.Err() == nil {
		if err := t.opts.Kernel.Watch(ctx, look); ctx.Err() == nil {
			t.log.Warn("device-mapper cannot be watched, and is looked at every second", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(fresh):
		}
	}
}
