package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"thintree/meta"
	"thintree/volfs"
)

// Tree is all that a set of sources names. All its methods may be called
// concurrently.
type Tree struct {
	opts    Options
	log     *slog.Logger
	sources []*source
	slots   slots
	leases  *leases
	view    atomic.Pointer[view]

	refreshing sync.Mutex // held by the one who looks whether the sources changed
	began      time.Time
	refreshed  atomic.Int64         // when that was last done, in nanoseconds since began
	volumes    map[identity]*volume // of the current view; guarded by refreshing
	complaint  string               // the last error of a refresh; guarded by refreshing

	watching context.CancelFunc // ends watch
	watched  sync.WaitGroup
}

// Options say how a tree behaves.
type Options struct {
	// Idle is how long a volume stays open after its last use; ≤ 0: for ever.
	Idle time.Duration
	// MaxActive is how many volumes may be open at once, at least 1.
	MaxActive int
	// OpenTimeout is how long a volume waits for its turn when that many are
	// open and busy.
	OpenTimeout time.Duration
	// HeldRoot reads the pools as of their metadata snapshots.
	HeldRoot bool
	// Engine says what reads the filesystems; "" is EngineDirect. Kernel is for the
	// kernel engine, and tells which volumes are in use; nil where there is none. It
	// is closed with the tree.
	Engine Engine
	Kernel Kernel
	// Live says what is shown of a volume that is in use; "" is LiveAuto.
	Live Live
	// Journal says what is done about journals.
	Journal volfs.Journal
	// Log is where it is said what happens; not nil.
	Log *slog.Logger

	watched *atomic.Bool // see Tree.watch; nil without Kernel
}

// source is a meta.Source and what was made of it.
type source struct {
	meta.Source
	folder string           // its folder in the tree, "" where it is the only source
	rank   uint64           // among all, in the order of their names
	layers map[string]uint8 // of pools, by name; guarded by Tree.refreshing
	stamp  string
	pools  []*pool
	cat    *meta.Catalog
	bases  map[string]*meta.Volume // in cat, by pool: the volume whose filesystem is recorded
	// warnings are the records and pools that could not be read
	warnings []error
}

// New makes a tree of sources. Names of pools and volumes that cannot be read
// are warned about in the log; it is an error when a source cannot be read at
// all, or none of its pools.
func New(ctx context.Context, sources []meta.Source, o Options) (*Tree, error) {
	if o.Engine == "" {
		o.Engine = EngineDirect
	}
	if o.Live == "" {
		o.Live = LiveAuto
	}
	if o.Kernel != nil {
		o.watched = new(atomic.Bool)
	}
	t := &Tree{opts: o, log: o.Log, began: time.Now()}
	t.leases = newLeases(o, t.openContent)
	if o.Kernel != nil {
		if err := o.Kernel.Sweep(ctx); err != nil {
			o.Log.Warn("what a process that was killed has left active stays", "error", err)
		}
	}
	for i, s := range sources {
		folder := ""
		if len(sources) > 1 {
			folder = folderName(s.String(), i, sources)
		}
		t.sources = append(t.sources, &source{Source: s, folder: folder})
	}
	byName := slices.Clone(t.sources)
	slices.SortStableFunc(byName, func(x, y *source) int { return strings.Compare(x.String(), y.String()) })
	for i, s := range byName {
		s.rank = uint64(i)
	}
	t.refreshing.Lock()
	err := t.refresh(ctx)
	t.refreshed.Store(int64(time.Since(t.began)))
	t.refreshing.Unlock()
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if o.Kernel != nil {
		watching, cancel := context.WithCancel(context.Background())
		t.watching = cancel
		t.watched.Go(func() { t.watch(watching) })
	}
	return t, nil
}

// Warnings are what cannot be shown, or only in part, of what the sources name:
// records and pools that are damaged. Damage in a volume is none of them.
func (t *Tree) Warnings() []error {
	var list []error
	for _, s := range t.view.Load().parts {
		list = append(list, s.warnings...)
		for _, p := range s.pools {
			list = append(list, p.problems()...)
		}
	}
	return list
}

// Close closes every volume and pool. Nothing may be called on the tree any
// more, and no file of it may be open.
func (t *Tree) Close() error {
	if t.watching != nil {
		t.watching()
		t.watched.Wait()
	}
	t.leases.shutdown()
	t.refreshing.Lock()
	defer t.refreshing.Unlock()
	var errs []error
	for _, s := range t.sources {
		for _, p := range s.pools {
			errs = append(errs, p.close())
		}
	}
	if t.opts.Kernel != nil {
		errs = append(errs, t.opts.Kernel.Close())
	}
	return errors.Join(errs...)
}

// owner is who owns what is not in a volume.
func owner() (uid, gid uint32) {
	return uint32(os.Geteuid()), uint32(os.Getegid())
}

// folderName is the folder of one of several sources: its kind and the last part
// of where it lies, and a number where that is not enough.
func folderName(name string, i int, all []meta.Source) string {
	short := sourceFolder(name)
	for j, other := range all {
		if j != i && sourceFolder(other.String()) == short {
			return fmt.Sprintf("%s-%d", short, i+1)
		}
	}
	return short
}
