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

// Tree is the tree of files of a set of sources. Its methods may be called concurrently, except
// for Close.
type Tree struct {
	opts   Options
	log    *slog.Logger
	opener *volume.Opener
	slots  layout.Slots[*root]
	leases *lease.Set[*volume.Volume, *volume.Contents]
	layout atomic.Pointer[layout.Layout]
	keeper *keeper
	ahead  ahead

	watching context.CancelFunc // ends watch
	watched  sync.WaitGroup
}

// Options say how a tree behaves.
type Options struct {
	// Options say how volumes are read. OpenTimeout is also how long a request waits for its
	// turn if MaxActive volumes are open and all are busy.
	volume.Options
	// Idle is how long a volume stays open after its last use. It stays open for ever if Idle
	// is 0 or negative.
	Idle time.Duration
	// MaxActive is how many volumes may be open at once, at least 1.
	MaxActive int
	// MayMiss says that sources may be missing: one that cannot be read is empty until it can.
	MayMiss bool
}

// New makes a tree of sources. It logs a warning for each pool or record that cannot be read.
// It returns an error if a source, or every pool of one, cannot be read. With Options.MayMiss it does
// so only if none can.
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
		began := make(chan struct{})
		t.watched.Go(func() { t.watch(watching, sync.OnceFunc(func() { close(began) })) })
		select { // until then any volume of an active pool may be changing
		case <-began:
		case <-time.After(longestBeginning):
		}
	}
	return t, nil
}

// longestBeginning is how long New waits until device-mapper is watched.
const longestBeginning = 200 * time.Millisecond

// Close closes every volume and pool. No file of the tree may be open, and no method may be
// called afterwards.
func (t *Tree) Close() error {
	if t.watching != nil {
		t.watching()
		t.watched.Wait()
	}
	t.ahead.busy.Wait()
	t.leases.Close()
	return t.keeper.close()
}

// MayStall reports whether a request for a node may wait in the kernel until somebody resumes a
// suspended device.
func (t *Tree) MayStall(id NodeID) bool {
	if id.IsFile() {
		r := t.slots.Get(id)
		return r != nil && t.opener.MayStall(r.Volume)
	}
	// A folder of the layout shows the attributes of volumes, which are read for that.
	for _, s := range t.layout.Load().Sections {
		for _, p := range s.Pools {
			if t.opener.PoolMayStall(p.(*volume.Pool)) {
				return true
			}
		}
	}
	return false
}

// Await waits until done is closed. It returns an error if ctx is done before, which is its cause,
// or a *[volume.SuspendedError] if the volume of a node has been suspended for OpenTimeout. In a
// folder of the layout each peek of a volume waits no longer than that by itself.
func (t *Tree) Await(ctx context.Context, id NodeID, done <-chan struct{}) error {
	if id.IsFile() {
		if r := t.slots.Get(id); r != nil {
			return t.opener.Await(ctx, r.Volume, done)
		}
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
