package pdata

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
)

// Mappings is the mapping tree of one device, as it is in the moment of each call, for as
// long as the device is the one that was opened; after that the error is [ErrNoDevice]. Its
// methods may be called concurrently. They are those of [Mapping].
type Mappings struct {
	m        *Metadata
	id       uint32
	opened   DeviceDetails // what the device was when it was opened
	verified atomic.Uint64 // the generation in which it was last seen to be that
}

// Mappings opens the mapping tree of a device: [ErrNoDevice] if the pool has none of that
// id. It reads no block of that tree.
func (m *Metadata) Mappings(ctx context.Context, id uint32) (*Mappings, error) {
	d := &Mappings{m: m, id: id}
	err := m.Read(ctx, func(v *View) (err error) {
		if _, err = v.Mapping(ctx, id); err != nil {
			return err
		}
		d.opened, err = v.Device(ctx, id)
		d.verified.Store(v.generation)
		if errors.As(err, new(*DamageError)) {
			return nil // of the details, which only tell the device from a later one
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// at is the device's tree in one moment. It refuses a device that only has the id of the
// one that was opened.
func (d *Mappings) at(ctx context.Context, v *View) (Mapping, error) {
	if d.opened.InDetails && d.verified.Load() != v.generation {
		now, err := v.Device(ctx, d.id)
		if err != nil {
			return Mapping{}, err
		}
		if now.TransactionID != d.opened.TransactionID || now.CreationTime != d.opened.CreationTime {
			return Mapping{}, fmt.Errorf("device %d: %w: it was deleted, and another one has its id", d.id, ErrNoDevice)
		}
		d.verified.Store(v.generation)
	}
	return v.Mapping(ctx, d.id)
}

// Run is described at [Mapping].
func (d *Mappings) Run(ctx context.Context, virtualBlock, maxLength uint64) (run Run, err error) {
	err = d.m.Read(ctx, func(v *View) error {
		run, err = d.runAt(ctx, v, virtualBlock, maxLength)
		return err
	})
	return run, err
}

// Current reads the superblock again and reports whether a run, that Run has given, is what
// the virtual blocks are mapped to now. A caller that reads data of a pool in use asks after
// the reading: until then the data blocks may have been given to another device.
func (d *Mappings) Current(ctx context.Context, run Run) (current bool, err error) {
	err = d.m.ReadNow(ctx, func(v *View) error {
		now, err := d.runAt(ctx, v, run.Virtual, run.Length)
		current = now == run
		return err
	})
	return current, err
}

func (d *Mappings) runAt(ctx context.Context, v *View, virtualBlock, maxLength uint64) (Run, error) {
	m, err := d.at(ctx, v)
	if err != nil {
		return Run{}, err
	}
	return m.Run(ctx, virtualBlock, maxLength)
}

// runsAtOnce is how many runs a listing reads at a time.
const runsAtOnce = 512

// Runs is described at [Mapping]. A pool in use is listed in parts of some hundred runs; each
// of them is of one moment, the whole need not be.
func (d *Mappings) Runs(ctx context.Context, begin, end uint64) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		for begin < end {
			var part runsPart
			err := d.m.Read(ctx, func(v *View) error {
				m, err := d.at(ctx, v)
				if err == nil {
					part, err = m.part(ctx, begin, end)
				}
				return err
			})
			if err != nil {
				yield(Run{}, err)
				return
			}
			for _, f := range part.found {
				if !yield(f.run, f.err) {
					return
				}
			}
			begin = part.end
		}
	}
}

// runsPart is what a listing finds in the virtual blocks before end.
type runsPart struct {
	found []foundRun
	end   uint64
}

type foundRun struct {
	run Run
	err error
}

// part is the first runs of a range. It ends with a whole run, or with damage.
func (m Mapping) part(ctx context.Context, begin, end uint64) (runsPart, error) {
	part, listed := runsPart{end: end}, begin
	for run, err := range m.Runs(ctx, begin, end) {
		damage, _ := errors.AsType[*DamageError](err)
		if err != nil && damage == nil {
			return part, err
		}
		if len(part.found) == runsAtOnce {
			part.end = listed
			break
		}
		listed = run.end()
		if damage != nil {
			listed = damage.KeyEnd
		}
		part.found = append(part.found, foundRun{run, err})
	}
	return part, nil
}

// Highest is described at [Mapping].
func (d *Mappings) Highest(ctx context.Context) (virtualBlock uint64, found bool, err error) {
	err = d.m.Read(ctx, func(v *View) error {
		m, err := d.at(ctx, v)
		if err == nil {
			virtualBlock, found, err = m.Highest(ctx)
		}
		return err
	})
	return virtualBlock, found, err
}
