package tree

import (
	"context"
	"errors"
	"sync/atomic"

	"thintree/meta"
	"thintree/resolve"
	"thintree/thin"
	"thintree/thin/pdata"
)

// pool is a pool that a source has, opened for reading.
type pool struct {
	name   string
	record meta.Pool
	index  int // among all pools, in the order of the sources; -1 before it has one
	reader *thin.PoolReader
	usage  usage

	listing atomic.Pointer[listing]
	opens   atomic.Int64 // how often a volume of it was opened
	stale   bool         // listing may be; guarded by Tree.refreshing
}

// listing is which devices a pool has.
type listing struct {
	ids      []uint32 // rising
	devices  map[uint32]pdata.DeviceDetails
	problems []error // what could not be read
	// when the pool's metadata were last written, as far as their file tells, in
	// nanoseconds since 1970.
	when int64
}

func openPool(ctx context.Context, rec meta.Pool, o Options) (*pool, error) {
	r, err := thin.OpenPoolReader(ctx, rec.Metadata, rec.Data, thin.ReaderOptions{HeldRoot: o.HeldRoot})
	if err != nil {
		return nil, err
	}
	p := &pool{name: rec.Name, record: rec, index: -1, reader: r}
	p.observe(ctx, o.Kernel)
	if err := p.list(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	for _, err := range p.problems() {
		o.Log.Warn("not all of a pool can be read", "pool", p.name, "error", err)
	}
	return p, nil
}

// refresh lists the devices again where the pool has changed.
func (p *pool) refresh(ctx context.Context, k Kernel) (changed bool, err error) {
	if changed, err = p.reader.Refresh(ctx); err != nil {
		return false, err
	}
	p.observe(ctx, k)
	changed = p.usage.moved.Swap(false) || changed
	if !changed && !p.stale {
		return false, nil
	}
	p.stale = true
	if err := p.list(ctx); err != nil {
		return false, err
	}
	p.stale = false
	return true, nil
}

// list reads which devices the pool has.
func (p *pool) list(ctx context.Context) error {
	l := &listing{devices: make(map[uint32]pdata.DeviceDetails)}
	if st, err := resolve.Stat(p.record.Metadata); err == nil {
		l.when = st.Mtim.Nano()
	}
	for d, err := range p.reader.Devices(ctx) {
		if errors.As(err, new(*pdata.DamageError)) || errors.As(err, new(*pdata.MismatchError)) {
			l.problems = append(l.problems, err)
			continue
		}
		if err != nil {
			return err
		}
		l.ids = append(l.ids, d.ID)
		l.devices[d.ID] = d
	}
	p.listing.Store(l)
	return nil
}

func (p *pool) ids() []uint32                           { return p.listing.Load().ids }
func (p *pool) devices() map[uint32]pdata.DeviceDetails { return p.listing.Load().devices }

// problems are what is wrong with the pool, though it can be read.
func (p *pool) problems() []error {
	return append(p.reader.Warnings(), p.listing.Load().problems...)
}

func (p *pool) close() error { return p.reader.Close() }
