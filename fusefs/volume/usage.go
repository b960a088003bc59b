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

// usage is what is known of who changes the devices of a pool. While somebody else has
// a device active it can change without a sign. What nobody has active cannot, and what
// is told of it may be kept for ever. Each sign that a device has changed hands, or
// contents, is counted; a volume of another count is another volume:
//
//   - an activation by somebody else began, ended, or took the place of another one;
//   - nobody has the device active, and yet its mapping root is another one than it was;
//   - a device-mapper device came and went before anybody could see which it was.
//
// Signs are seen only while device-mapper is watched; otherwise any device may be changing.
type usage struct {
	watched *atomic.Bool // see Opener.SetWatched; nil if there is no device-mapper

	mu      sync.Mutex
	known   bool                 // users are; otherwise any device may be active; guarded by mu
	users   map[uint32]lend.User // guarded by mu
	changes map[uint32]int       // signs of change, by device; guarded by mu
	unseen  int                  // signs that may be of any device; guarded by mu
	ended   map[uint32]time.Time // when the last activation of a device ended; guarded by mu
	roots   map[uint32]uint64    // the mapping roots of settled devices that nobody has active; guarded by mu

	moved atomic.Bool // there was a sign since the view was made
}

// settling is how long a device is taken to be changing after its last activation: the
// kernel writes new mappings down within a second of when they were made.
const settling = 2 * time.Second

// changing reports whether a device may be changing, or has changed since its signs were
// counted.
func (u *usage) changing(id uint32, counted int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	unwatched := u.watched != nil && !u.watched.Load()
	return unwatched || !u.known || u.active(id) || u.changes[id]+u.unseen != counted
}

// active reports whether somebody has a device active, or had so just now. Called with
// mu held.
func (u *usage) active(id uint32) bool {
	if _, ok := u.users[id]; ok {
		return true
	}
	at, ok := u.ended[id]
	return ok && time.Since(at) < settling
}

// signs counts the signs of change of a device.
func (u *usage) signs(id uint32) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changes[id] + u.unseen
}

// changed counts a sign of a device. Called with mu held.
func (u *usage) changed(id uint32) {
	if u.changes == nil {
		u.changes, u.ended = make(map[uint32]int), make(map[uint32]time.Time)
	}
	u.changes[id]++
	u.moved.Store(true)
}

// see takes note of the devices that others have active now. What was before the first look
// is not known.
func (u *usage) see(users map[uint32]lend.User) {
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

// lose takes note that the active devices cannot be told: mostly because the pool is not
// active.
func (u *usage) lose() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.known = false
}

// seeRoots compares the mapping roots of devices with those that they had.
func (u *usage) seeRoots(devices map[uint32]pdata.DeviceDetails) {
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

// seeUnseen takes note of a device that came and went unseen.
func (u *usage) seeUnseen() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unseen++
	u.moved.Store(true)
}

// Observe looks which devices of the pool others have active. If the owner has just
// deactivated the pool, it closes the devices that the pool lies on: the owner wants to
// deactivate these next.
func (p *Pool) Observe(ctx context.Context, k Kernel) {
	if k == nil {
		return
	}
	metadata, _ := p.reader.Halves()
	users, err := k.Users(ctx, metadata)
	if err == nil {
		p.usage.see(users)
		p.active.Store(true)
		return
	}
	// If the pool is not active, but its reader has seen it so, the next look tells.
	p.usage.lose()
	if errors.Is(err, thin.ErrNotActive) && p.active.Swap(false) {
		p.reader.Yield(afterOwner)
	}
}

// afterOwner is how long the devices that a pool lies on are left alone after its owner
// has deactivated it.
const afterOwner = 2 * time.Second

// Unseen takes note of a device-mapper device that came and went before anybody could see
// whose it was, unless such a device would show in the pool's files.
func (p *Pool) Unseen() {
	if !p.reader.ShowsWrites() {
		p.usage.seeUnseen()
	}
}
