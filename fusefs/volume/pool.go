package volume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"thintree/meta"
	"thintree/thin/block"
	"thintree/thin/pdata"
	"thintree/thin/reader"
	"thintree/thin/resolve"
)

// Pool is a pool of a source, opened for reading. Its methods may be called concurrently,
// except for Refresh, Judge, TellMisfits and Close.
type Pool struct {
	record meta.Pool
	reader *reader.Pool
	usage  usage[uint32]
	active atomic.Bool // somebody else had it active when Observe last looked
	idle   atomic.Bool // it lies in pieces, and nobody had it active when Observe last looked
	// foreign says that it is not the pool that the records of its source describe; nil if it
	// is.
	foreign atomic.Pointer[foreignPoolError]
	forced  bool                    // Options.ForceNames
	records atomic.Pointer[records] // see SetRecords
	listing atomic.Pointer[listing]
	opens   atomic.Int64 // how often a volume of it was opened

	// The caller of Refresh, Judge and TellMisfits guards these.
	stale   bool            // listing may be out of date
	judged  judged          // what the verdict in foreign depends on
	told    map[string]bool // the problems that were logged last
	misfits string          // what TellMisfits said last
	counted counted         // see countStrangers
}

// listing is the list of a pool's devices.
type listing struct {
	ids      []uint32 // ascending
	devices  map[uint32]pdata.DeviceDetails
	problems []error // what could not be read
	// lost is why ids may be missing from the list: both trees that have them are damaged in
	// the same range of keys. It is nil if none can be missing.
	lost error
	// when is the modification time of the pool's metadata file, in nanoseconds since
	// 1970.
	when int64
}

// OpenPool opens a pool for reading, and lists its devices.
func (o *Opener) OpenPool(ctx context.Context, rec meta.Pool) (*Pool, error) {
	metadata, data, err := o.halves(ctx, rec)
	if err != nil {
		return nil, err
	}
	r, err := reader.Open(ctx, metadata, data, reader.Options{HeldRoot: o.HeldRoot})
	if err != nil {
		return nil, err
	}
	p := &Pool{record: rec, reader: r, forced: o.ForceNames}
	p.usage.watched = o.watched
	p.Observe(ctx, o.Kernel)
	if err := p.list(ctx, o.Kernel); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	p.tell(o.Log)
	return p, nil
}

// halves are where the halves of a pool lie. If its record says only the name of its device, that
// must be active.
func (o *Opener) halves(ctx context.Context, rec meta.Pool) (metadata, data block.Location, err error) {
	if !rec.Metadata.IsNowhere() {
		return rec.Metadata, rec.Data, nil
	}
	const elsewhere = "activate it, or name its halves with --pool META,DATA"
	if o.Kernel == nil {
		return metadata, data, fmt.Errorf("the pool %s: only device-mapper knows where it lies, which cannot be used here or with --engine direct: %s", rec.Device, elsewhere)
	}
	if metadata, data, err = o.Kernel.Halves(ctx, rec.Device); err != nil {
		err = fmt.Errorf("the pool %w: %s", err, elsewhere)
	}
	return metadata, data, err
}

// Metadata is where the pool's metadata lie now, for messages.
func (p *Pool) Metadata() string {
	metadata, _ := p.reader.Halves()
	return metadata.String()
}

// Data is where the pool's data lie now, for messages.
func (p *Pool) Data() string {
	_, data := p.reader.Halves()
	return data.String()
}

// Refresh lists the devices again if the pool has changed. changed reports whether it did.
func (p *Pool) Refresh(ctx context.Context, o *Opener) (changed bool, err error) {
	if changed, err = p.reader.Refresh(ctx); err != nil {
		return false, err
	}
	p.Observe(ctx, o.Kernel)
	if !changed && !p.stale && !p.usage.moved.Load() {
		return false, nil
	}
	p.stale = true
	if err := p.list(ctx, o.Kernel); err != nil {
		return false, err
	}
	p.stale = false
	p.usage.moved.Store(false)
	p.tell(o.Log)
	return true, nil
}

// tell logs the problems of the pool that it did not log last time.
func (p *Pool) tell(log *slog.Logger) {
	now := make(map[string]bool)
	for _, err := range p.Problems() {
		text := err.Error()
		if now[text] = true; !p.told[text] {
			log.Warn("not all of a pool can be read", "pool", p.record.Name, "error", err)
		}
	}
	p.told = now
}

// list reads the list of the pool's devices. It leaves out temporary snapshots, which are gone soon.
func (p *Pool) list(ctx context.Context, k Kernel) error {
	l := &listing{devices: make(map[uint32]pdata.DeviceDetails)}
	metadata, _ := p.reader.Halves()
	for _, path := range metadata.Paths() {
		if st, err := resolve.Stat(path); err == nil {
			l.when = max(l.when, st.Mtim.Nano())
		}
	}
	damage := make(map[pdata.Tree]*pdata.DamageError) // the last damage of each tree
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
		case k != nil && k.IsTemporary(metadata, d.ID, d.TransactionID):
		default:
			l.ids = append(l.ids, d.ID)
			l.devices[d.ID] = d
		}
	}
	if len(l.ids) == 0 && damage[pdata.TreeDevices] != nil {
		return fmt.Errorf("%s: its devices cannot be listed: %w", p.Metadata(), l.problems[0])
	}
	p.listing.Store(l)
	seeRoots(&p.usage, l.devices)
	return nil
}

// lose records that ids may be missing if the damage of the two trees overlaps.
func (l *listing) lose(devices, details *pdata.DamageError) {
	if l.lost != nil || devices == nil || details == nil {
		return
	}
	if devices.KeyBegin < details.KeyEnd && details.KeyBegin < devices.KeyEnd {
		l.lost = fmt.Errorf("there may be more, which cannot be listed: %w; %w", devices, details)
	}
}

// Name is the pool's name in its source.
func (p *Pool) Name() string { return p.record.Name }

// Record is the source's record of the pool.
func (p *Pool) Record() meta.Pool { return p.record }

// IDs are the ids of its devices, ascending.
func (p *Pool) IDs() []uint32 { return p.listing.Load().ids }

// Lost is why IDs may be incomplete, nil if it is complete.
func (p *Pool) Lost() error { return p.listing.Load().lost }

// When is the modification time of its metadata file, in nanoseconds since 1970.
func (p *Pool) When() int64 { return p.listing.Load().when }

// Opens is how often a volume of it was opened.
func (p *Pool) Opens() int64 { return p.opens.Load() }

func (p *Pool) devices() map[uint32]pdata.DeviceDetails { return p.listing.Load().devices }

// Problems lists what is wrong with the pool although it can be read.
func (p *Pool) Problems() []error {
	return append(p.reader.Warnings(), p.listing.Load().problems...)
}

// Live reports whether somebody else has the pool active and so may change it. by is the name
// of the device with which it is active.
func (p *Pool) Live() (by string, live bool) {
	switch {
	case !p.live():
		return "", false
	case p.active.Load() && p.record.Device != "":
		return p.record.Device, true
	}
	return p.reader.LiveBy(), true
}

func (p *Pool) live() bool { return p.reader.Live() && !p.idle.Load() }

// Usage is how full the pool is, and in what state.
func (p *Pool) Usage() reader.Usage { return p.reader.Usage() }

// BlockBytes is the length of a data block in bytes.
func (p *Pool) BlockBytes() int64 { return p.reader.BlockBytes() }

// Moved reports whether a device of the pool may have become another volume since Refresh last
// listed the devices.
func (p *Pool) Moved() bool { return p.usage.moved.Load() }

// Close closes the pool. No volume of it may be open.
func (p *Pool) Close() error { return p.reader.Close() }
