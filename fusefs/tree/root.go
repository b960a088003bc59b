package tree

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/fusefs/lease"
	"thintree/fusefs/volume"
	"thintree/volfs"
)

// root is a volume.Root together with its slot in the node ids.
type root struct {
	*layout.Slot
	*volume.Root
	listing atomic.Pointer[rootListing] // set once
	whole   *root                       // the root of the whole volume; nil if this is it

	mu    sync.Mutex
	parts map[layout.Place]*root // the roots of parts, if this is the whole volume; guarded by mu
}

// root returns the root that contains the node of a file. The error is ESTALE if its volume is
// gone.
func (t *Tree) root(id NodeID) (*root, error) {
	r := t.slots.Get(id)
	if r == nil {
		return nil, fmt.Errorf("the volume is gone: %w", syscall.ESTALE)
	}
	return r, nil
}

// rootOf returns the root of a whole volume.
func (t *Tree) rootOf(v *layout.Volume) *root { return t.slots.Get(v.Slot.ID(0)) }

// part returns the root at another place in the volume of r. The first call for a place gives it a
// slot.
func (t *Tree) part(r *root, at layout.Place) *root {
	whole := r
	if r.whole != nil {
		whole = r.whole
	}
	whole.mu.Lock()
	defer whole.mu.Unlock()
	if p := whole.parts[at]; p != nil {
		return p
	}
	p := &root{Slot: whole.Slot.At(whole.Volume.String(), at), Root: whole.Volume.At(at), whole: whole}
	t.slots.Add(p.Slot, p)
	if whole.parts == nil {
		whole.parts = make(map[layout.Place]*root)
	}
	whole.parts[at] = p
	return p
}

// drop forgets the roots of a volume that is gone.
func (t *Tree) drop(whole *root) {
	whole.mu.Lock()
	defer whole.mu.Unlock()
	t.slots.Drop(whole.Slot)
	for _, r := range whole.parts {
		t.slots.Drop(r.Slot)
	}
}

// diskIno is a node's inode number in the filesystem.
func (r *root) diskIno(id NodeID, fs volfs.FS) volfs.Ino {
	if ino := r.Ino(id); ino != 0 {
		return ino
	}
	return fs.Root()
}

// stillThere returns ESTALE if a volume has left the layout. Requests for nodes in a volume do
// not look into the layout, so they have to call it.
func (t *Tree) stillThere(ctx context.Context, r *root) error {
	if t.current(ctx); r.Volume.Gone() {
		return fmt.Errorf("%s: the volume is gone, or somebody has begun to use it or its pool: %w", r.Root, syscall.ESTALE)
	}
	return nil
}

// acquire opens the volume of a root, or shares it with the callers that have it open.
func (t *Tree) acquire(ctx context.Context, r *root) (*volumeLease, error) {
	if err := t.stillThere(ctx, r); err != nil {
		return nil, err
	}
	return t.leases.Acquire(ctx, r.Volume)
}

// withFS acquires the volume of a root, and calls use with the filesystem at that root.
func (t *Tree) withFS(ctx context.Context, r *root, use func(volfs.FS) error) error {
	l, err := t.acquire(ctx, r)
	if err != nil {
		return err
	}
	defer t.leases.Release(l)
	return l.Resource().With(ctx, r.Root, use)
}

// peek returns a peek of a root. If the volume has to be opened for that it is closed again soon.
func (t *Tree) peek(ctx context.Context, r *root) (*volume.Peek, error) {
	return t.opener.Peek(ctx, r.Root, func(ctx context.Context, use func(*volume.Contents) error) error {
		if !t.leases.Has(r.Volume) {
			defer t.leases.EndPeek(r.Volume)
		}
		l, err := t.acquire(ctx, r)
		if err != nil {
			return err
		}
		defer t.leases.Release(l)
		return use(l.Resource())
	})
}

// volumeLease is a lease of an open volume.
type volumeLease = lease.Lease[*volume.Volume, *volume.Contents]
