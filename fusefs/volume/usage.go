package volume

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"thintree/thin"
	"thintree/thin/lend"
	"thintree/thin/pdata"
)

// usage says which devices of a pool, by their ids, may be changing; or which plain volumes, by where
// they lie. A device that somebody else has active
// can change without a sign. A device that nobody has active cannot change, and answers about
// it may be kept for ever. usage counts the signs that a device has changed hands or contents.
// If the count has changed, the device counts as another volume. The signs are:
//
//   - An activation by somebody else began, ended, or was replaced by another one.
//   - Nobody has the device active, but its mapping root has changed.
//   - A device-mapper device was removed before anybody could see which device it was.
//
// Signs are seen only while device-mapper is watched. Otherwise any device may be changing.
type usage[K comparable] struct {
	watched *atomic.Bool // see Opener.SetWatched; nil if there is no device-mapper

	mu      sync.Mutex
	known   bool            // users is known; otherwise any device may be active; guarded by mu
	users   map[K]lend.User // guarded by mu
	changes map[K]int       // signs of change, by device; guarded by mu
	unseen  int             // signs that may be of any device; guarded by mu
	ended   map[K]time.Time // when the last activation of a device ended; guarded by mu
	roots   map[K]uint64    // the mapping roots of settled devices that nobody has active; guarded by mu

	moved atomic.Bool // there was a sign since the devices were last listed
}

// settling is how long after its last activation a device still counts as changing: the kernel
// writes new mappings to the metadata within a second.
const settling = 2 * time.Second

// changing reports whether a device may be changing, or has changed since its signs were
// counted. counted is that count: see signs.
func (u *usage[K]) changing(id K, counted int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	unwatched := u.watched != nil && !u.watched.Load()
	return unwatched || !u.known || u.active(id) || u.changes[id]+u.unseen != counted
}

// active reports whether somebody else has a device active, or had it active within settling.
// Called with mu held.
func (u *usage[K]) active(id K) bool {
	if _, ok := u.users[id]; ok {
		return true
	}
	at, ok := u.ended[id]
	return ok && time.Since(at) < settling
}

// signs is the count of a device's signs of change.
func (u *usage[K]) signs(id K) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changes[id] + u.unseen
}

// changed counts a sign of a device. Called with mu held.
func (u *usage[K]) changed(id K) {
	if u.changes == nil {
		u.changes, u.ended = make(map[K]int), make(map[K]time.Time)
	}
	u.changes[id]++
	u.moved.Store(true)
}

// see records the devices that others have active now. The first call counts no signs,
// because the state before it is not known.
func (u *usage[K]) see(users map[K]lend.User) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.users
	u.known, u.users = true, maps.Clone(users)
	if before == nil {
		return
	}
	for id, now := range users {
		if was, ok := before[id]; !ok || !was.Same(now) {
			u.changed(id)
		}
	}
	for id := range before {
		if _, ok := users[id]; !ok {
			u.changed(id)
			u.ended[id] = time.Now()
		}
	}
}

// lose records that the users cannot be listed, mostly because the pool is not active.
func (u *usage[K]) lose() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.known = false
}

// seeRoots compares the mapping roots of the devices with those of the last call.
func seeRoots(u *usage[uint32], devices map[uint32]pdata.DeviceDetails) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.roots
	u.roots = make(map[uint32]uint64, len(devices))
	for id, d := range devices {
		if !d.InMappings || u.known && u.active(id) {
			continue
		}
		u.roots[id] = d.MappingRoot
		if was, ok := before[id]; ok && was != d.MappingRoot {
			u.changed(id)
		}
	}
}

// seeUnseen counts a sign of every device: a device was removed before anybody could see which
// one it was.
func (u *usage[K]) seeUnseen() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unseen++
	u.moved.Store(true)
}

// Observe looks which devices of the pool others have active. If the owner has just
// deactivated the pool, Observe closes the devices that the pool lies on, because the owner
// wants to deactivate those next.
//
// The reader takes a pool in pieces for live as soon as anything on the same disks is active, such
// as another volume of a group. Observe finds out if the pool itself is.
func (p *Pool) Observe(ctx context.Context, k Kernel) {
	if k == nil {
		return
	}
	metadata, _ := p.reader.Halves()
	users, err := k.Users(ctx, metadata)
	if err == nil {
		p.usage.see(users)
		if !p.active.Swap(true) && p.idle.Swap(false) {
			p.usage.seeUnseen()
		}
		return
	}
	// If the reader still takes the pool for active, the next Observe corrects that.
	p.usage.lose()
	if !errors.Is(err, thin.ErrNotActive) {
		p.idle.Store(false)
		return
	}
	if p.active.Swap(false) {
		p.usage.seeUnseen()
		p.reader.Yield(afterOwner)
	}
	_, whole := metadata.Path()
	p.idle.Store(!whole)
}

// afterOwner is how long the devices that a pool lies on stay closed after its owner has
// deactivated it.
const afterOwner = 2 * time.Second

// Unseen records that a device-mapper device was removed before anybody could see which pool
// it belonged to. It does nothing if the pool's files show every write to the pool.
func (p *Pool) Unseen() {
	if !p.reader.ShowsWrites() {
		p.usage.seeUnseen()
	}
}
