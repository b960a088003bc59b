package tree

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"thintree/fusefs/layout"
	"thintree/fusefs/lease"
	"thintree/fusefs/volume"
	"thintree/meta"
)

// NodeID is a node of the tree: see layout.NodeID.
type NodeID = layout.NodeID

// RootID is the root of the tree.
const RootID = layout.RootID

// Tree is all that a set of sources names. All its methods may be called concurrently, but
// for Close.
type Tree struct {
	opts   Options
	log    *slog.Logger
	opener *volume.Opener
	slots  layout.Slots[*root]
	leases *lease.Set[*volume.Volume, *volume.Contents]
	layout atomic.Pointer[layout.Layout]
	keeper *keeper

	watching context.CancelFunc // ends watch
	watched  sync.WaitGroup
}

// Options say how a tree behaves.
type Options struct {
	// Options say how volumes are read. Their OpenTimeout is also how long a volume waits
	// for its turn when MaxActive are open and busy.
	volume.Options
	// Idle is how long a volume stays open after its last use; ≤ 0: for ever.
	Idle time.Duration
	// MaxActive is how many volumes may be open at once, at least 1.
	MaxActive int
}

// New makes a tree of sources. Names of pools and volumes that cannot be read are warned
// about in the log. It is an error if a source cannot be read at all, or none of its pools.
func New(ctx context.Context, sources []meta.Source, o Options) (*Tree, error) {
	t := &Tree{opts: o, log: o.Log, opener: volume.NewOpener(o.Options)}
	t.leases = lease.NewSet(lease.Options{Max: o.MaxActive, Idle: o.Idle, Timeout: o.OpenTimeout, Log: o.Log}, t.opener.Open)
	t.keeper = newKeeper(t, sources)
	if err := t.keeper.start(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if o.Kernel != nil {
		watching, cancel := context.WithCancel(context.Background())
		t.watching = cancel
		t.watched.Go(func() { t.watch(watching) })
	}
	return t, nil
}

// Close closes every volume and pool. Nothing may be called on the tree any more, and no
// file of it may be open.
func (t *Tree) Close() error {
	if t.watching != nil {
		t.watching()
		t.watched.Wait()
	}
	t.leases.Close()
	return t.keeper.close()
}

// OpenTimeout is how long a volume waits for its turn, and a request for a pool that is
// suspended.
func (t *Tree) OpenTimeout() time.Duration { return t.opts.OpenTimeout }

// MayStall reports whether what is asked of a node may wait in the kernel for somebody
// else.
func (t *Tree) MayStall(id NodeID) bool {
	if !id.IsFile() {
		return false
	}
	r := t.slots.Get(id)
	return r != nil && t.opener.MayStall(r.Volume)
}

// Suspended is a [volume.SuspendedError] if the pool that a node is in is suspended.
func (t *Tree) Suspended(ctx context.Context, id NodeID) error {
	r, err := t.root(id)
	if err != nil {
		return nil
	}
	return t.opener.Suspended(ctx, r.Volume)
}
