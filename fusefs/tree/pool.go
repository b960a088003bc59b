package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"thintree/meta"
	"thintree/thin"
	"thintree/thin/pdata"
	"thintree/thin/resolve"
)

// pool is a pool that a source has, opened for reading.
type pool struct {
	name   string
	record meta.Pool
	layer  uint8 // in inode numbers: see source.layPools
	reader *thin.PoolReader
	usage  usage
	active atomic.Bool // in the kernel, by somebody else, when that was last looked at
	// foreign says that it is not the pool that its source's records are of; nil
	// otherwise.
	foreign atomic.Pointer[foreignPoolError]
	judged  judged // by what that was last found out; guarded by Tree.refreshing

	listing atomic.Pointer[listing]
	opens   atomic.Int64    // how often a volume of it was opened
	stale   bool            // listing may be; guarded by Tree.refreshing
	told    map[string]bool // the problems that were logged last; guarded by Tree.refreshing
	misfits string          // what tellMisfits said last; guarded by Tree.refreshing
}

// listing is which devices a pool has.
type listing struct {
	ids      []uint32 // rising
	devices  map[uint32]pdata.DeviceDetails
	problems []error // what could not be read
	// lost is why ids may be missing in it: both of the trees that have them are
	// damaged in the same place. Otherwise it is nil.
	lost error
	// when the pool's metadata were last written, as far as their file tells, in
	// nanoseconds since 1970.
	when int64
}

func openPool(ctx context.Context, rec meta.Pool, o Options) (*pool, error) {
	r, err := thin.OpenPoolReader(ctx, rec.Metadata, rec.Data, thin.ReaderOptions{HeldRoot: o.HeldRoot})
	if err != nil {
		return nil, err
	}
	p := &pool{name: rec.Name, record: rec, reader: r}
	p.usage.watched = o.watched
	p.observe(ctx, o.Kernel)
	if err := p.list(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	p.tell(o.Log)
	return p, nil
}

// refresh lists the devices again where the pool has changed.
func (p *pool) refresh(ctx context.Context, o Options) (changed bool, err error) {
	if changed, err = p.reader.Refresh(ctx); err != nil {
		return false, err
	}
	p.observe(ctx, o.Kernel)
	if !changed && !p.stale && !p.usage.moved.Load() {
		return false, nil
	}
	p.stale = true
	if err := p.list(ctx); err != nil {
		return false, err
	}
	p.stale = false
	p.usage.moved.Store(false)
	p.tell(o.Log)
	return true, nil
}

// tell logs each problem of the pool when it is first seen.
func (p *pool) tell(log *slog.Logger) {
	now := make(map[string]bool)
	for _, err := range p.problems() {
		text := err.Error()
		if now[text] = true; !p.told[text] {
			log.Warn("not all of a pool can be read", "pool", p.name, "error", err)
		}
	}
	p.told = now
}

// list reads which devices the pool has.
func (p *pool) list(ctx context.Context) error {
	l := &listing{devices: make(map[uint32]pdata.DeviceDetails)}
	metadata, _ := p.reader.Paths()
	if st, err := resolve.Stat(metadata); err == nil {
		l.when = st.Mtim.Nano()
	}
	damage := make(map[pdata.Tree]*pdata.DamageError) // of each tree, the last
	for d, err := range p.reader.Devices(ctx) {
		here, damaged := errors.AsType[*pdata.DamageError](err)
		switch {
		case damaged:
			l.problems = append(l.problems, err)
			damage[here.Tree] = here
			l.lose(damage[pdata.TreeDevices], damage[pdata.TreeDetails])
		case errors.As(err, new(*pdata.MismatchError)):
			l.problems = append(l.problems, err)
		case err != nil:
			return err
		default:
			l.ids = append(l.ids, d.ID)
			l.devices[d.ID] = d
		}
	}
	if len(l.ids) == 0 && damage[pdata.TreeDevices] != nil {
		return fmt.Errorf("%s: its devices cannot be listed: %w", p.record.Metadata, l.problems[0])
	}
	p.listing.Store(l)
	p.usage.seeRoots(l.devices)
	return nil
}

// lose notes that ids are lost if damage of the two trees overlaps.
func (l *listing) lose(devices, details *pdata.DamageError) {
	if l.lost != nil || devices == nil || details == nil {
		return
	}
	if devices.KeyBegin < details.KeyEnd && details.KeyBegin < devices.KeyEnd {
		l.lost = fmt.Errorf("there may be more, which cannot be listed: %w; %w", devices, details)
	}
}

func (p *pool) ids() []uint32                           { return p.listing.Load().ids }
func (p *pool) devices() map[uint32]pdata.DeviceDetails { return p.listing.Load().devices }

// problems are what is wrong with the pool, though it can be read.
func (p *pool) problems() []error {
	return append(p.reader.Warnings(), p.listing.Load().problems...)
}

func (p *pool) close() error { return p.reader.Close() }
