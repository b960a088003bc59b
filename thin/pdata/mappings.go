package pdata

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
)

// Mappings is the mapping tree of one device. Each call reads it as it is then. If the device
// was deleted, or another one has its id, the error is [ErrNoDevice]. Its methods may be called
// concurrently. They are those of [Mapping].
type Mappings struct {
	m        *Metadata
	id       uint32
	opened   DeviceDetails // of the device when it was opened
	verified atomic.Uint64 // the generation in which it was last found to be the same device
}

// Mappings opens the mapping tree of a device. The error is [ErrNoDevice] if the pool has no
// device of the id. No block of the tree is read.
func (m *Metadata) Mappings(ctx context.Context, id uint32) (*Mappings, error) {
	d := &Mappings{m: m, id: id}
	err := m.Read(ctx, func(v *View) (err error) {
		if _, err = v.Mapping(ctx, id); err != nil {
			return err
		}
		d.opened, err = v.Device(ctx, id)
		d.verified.Store(v.generation)
		if errors.As(err, new(*DamageError)) {
			return nil // of the details, which are only needed to recognise the device
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// at is the device's mapping tree of a view. The error is [ErrNoDevice] if it is not the device
// that was opened.
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

// Run is [Mapping.Run].
func (d *Mappings) Run(ctx context.Context, virtualBlock, maxLength uint64) (run Run, err error) {
	err = d.m.Read(ctx, func(v *View) error {
		run, err = d.runAt(ctx, v, virtualBlock, maxLength)
		return err
	})
	return run, err
}

// Current reads the superblock again and reports whether a run from Run is still how its
// virtual blocks are mapped. A caller that reads data of a live pool calls it after the read,
// because the data blocks may have been given to another device meanwhile.
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

// Runs is [Mapping.Runs]. A live pool is listed in parts of some hundred runs. Each part is of
// one superblock, but the whole listing need not be.
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

// runsPart is a part of a listing: what was found before the virtual block end.
type runsPart struct {
	found []foundRun
	end   uint64
}

type foundRun struct {
	run Run
	err error
}

// part returns the first runs of a range, up to a whole run or to damage.
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

// Highest is [Mapping.Highest].
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
