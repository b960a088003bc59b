package pdata

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
	"time"
)

// runsAtOnce is how many runs an iteration reads at a time.
const runsAtOnce = 512

// Run is a run of virtual blocks that are mapped to as many data blocks in the
// same order, or of blocks that are not mapped.
type Run struct {
	Virtual uint64 // the first virtual block
	Length  uint64 // in blocks
	Mapped  bool
	Data    uint64 // the data block that Virtual is mapped to, 0 where it is not
	Time    uint32 // the pool's Time when all of these were mapped
}

// end is the virtual block after the run.
func (r *Run) end() uint64 { return r.Virtual + r.Length }

// extend lets a mapped run grow by a block, if it is the next one.
func (r *Run) extend(next Run) bool {
	if next.Virtual != r.end() || next.Data != r.Data+r.Length || next.Time != r.Time {
		return false
	}
	r.Length++
	return true
}

func parseMapping(virtual uint64, p []byte) Run {
	v := le.Uint64(p)
	return Run{Virtual: virtual, Length: 1, Mapped: true, Data: v >> 24, Time: uint32(v & (1<<24 - 1))}
}

// Mappings is the mapping tree of one device. Its methods may be called
// concurrently. Where the pool changes, they tell of the tree as it is now, for as
// long as the device is the one that was opened; after that they fail with
// [ErrNoDevice].
type Mappings struct {
	m        *Metadata
	id       uint32
	opened   DeviceDetails // what the device was when it was opened
	verified atomic.Uint64 // the generation in which it was last seen to be that
}

// Mappings opens the mapping tree of a device: [ErrNoDevice] where the pool has
// none of that id. It reads no block of that tree.
func (m *Metadata) Mappings(ctx context.Context, id uint32) (*Mappings, error) {
	d := &Mappings{m: m, id: id}
	err := m.read(ctx, false, func(v *view) (err error) {
		if _, err = v.mappingTree(ctx, id); err != nil {
			return err
		}
		d.opened, err = v.device(ctx, id)
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

// mappingTree finds the mapping tree of a device.
func (v *view) mappingTree(ctx context.Context, id uint32) (tree, error) {
	p, found, err := v.lookup(ctx, v.deviceTree(), uint64(id))
	if err != nil {
		return tree{}, err
	}
	if !found {
		return tree{}, fmt.Errorf("device %d: %w", id, ErrNoDevice)
	}
	return tree{
		name: TreeMappings, device: id, root: le.Uint64(p), valueSize: 8,
		keyEnd: math.MaxInt64 / v.pool.dataBlockBytes(),
		checkValue: func(p []byte) error {
			if data := parseMapping(0, p).Data; data >= v.nrDataBlocks {
				return fmt.Errorf("mapped to data block %d, which is not one of the pool's %d", data, v.nrDataBlocks)
			}
			return nil
		},
	}, nil
}

// read is Metadata.read with the device's tree.
func (d *Mappings) read(ctx context.Context, look bool, f func(*view, tree) error) error {
	return d.m.read(ctx, look, func(v *view) error {
		if err := d.verify(ctx, v); err != nil {
			return err
		}
		t, err := v.mappingTree(ctx, d.id)
		if err != nil {
			return err
		}
		return f(v, t)
	})
}

// verify refuses a device that only has the id of the one that was opened.
func (d *Mappings) verify(ctx context.Context, v *view) error {
	if !d.opened.InDetails || d.verified.Load() == v.generation {
		return nil
	}
	now, err := v.device(ctx, d.id)
	if err != nil {
		return err
	}
	if now.TransactionID != d.opened.TransactionID || now.CreationTime != d.opened.CreationTime {
		return fmt.Errorf("device %d: %w: it was deleted, and another one has its id", d.id, ErrNoDevice)
	}
	d.verified.Store(v.generation)
	return nil
}

// Run tells what a virtual block is mapped to, and as many of those that follow
// it, up to maxLength in all, as are mapped to data blocks that follow, whenever
// that was (the run's Time is the first block's); or how many, from this one on,
// are not mapped. Damage at virtualBlock is a
// [DamageError]; damage that follows only ends the run.
func (d *Mappings) Run(ctx context.Context, virtualBlock, maxLength uint64) (Run, error) {
	return d.run(ctx, false, virtualBlock, maxLength)
}

// Glimpse calls f once with what tells of a device's mappings as [Mappings.Run] does,
// but without a look at the superblock each time: there is one after f, and one now and
// then. So what f has found, also the data that it has read, is as one superblock has it;
// or, where the pool has changed meanwhile, or may have as f stood still, the error is
// [ErrChanging], and nothing that f has found holds.
func (m *Metadata) Glimpse(ctx context.Context, id uint32, f func(run func(virtualBlock, maxLength uint64) (Run, error)) error) error {
	v := m.trusted()
	t, err := v.mappingTree(ctx, id)
	if err == nil {
		err = f(func(virtualBlock, maxLength uint64) (Run, error) {
			if m.expiresIn(v, time.Now()) < m.trust/2 {
				if err := m.holds(ctx, v); err != nil {
					return Run{}, err
				}
			}
			return v.run(ctx, t, virtualBlock, max(maxLength, 1))
		})
	}
	if ctx.Err() != nil || !m.opts.Live {
		return cmp.Or(ctx.Err(), err)
	}
	return cmp.Or(m.holds(ctx, v), err)
}

// holds is nil where a view is of the current superblock, and was all the time.
func (m *Metadata) holds(ctx context.Context, v *view) error {
	same, late, err := m.look(ctx, v)
	if err == nil && (!same || late) {
		err = ErrChanging
	}
	return err
}

// Current reads the superblock again and tells whether a run, that Run has given,
// is what the virtual blocks are mapped to now. Who reads data of a live pool asks
// after the reading: until then the data blocks may have been given to another.
func (d *Mappings) Current(ctx context.Context, run Run) (bool, error) {
	now, err := d.run(ctx, true, run.Virtual, run.Length)
	return now == run, err
}

func (d *Mappings) run(ctx context.Context, look bool, virtualBlock, maxLength uint64) (Run, error) {
	var run Run
	err := d.read(ctx, look, func(v *view, t tree) (err error) {
		run, err = v.run(ctx, t, virtualBlock, max(maxLength, 1))
		return err
	})
	return run, err
}

func (v *view) run(ctx context.Context, t tree, begin, length uint64) (Run, error) {
	length = min(length, math.MaxUint64-begin)
	run := Run{Virtual: begin, Length: length}
	var damage error
	err := v.walk(ctx, t, span{begin, begin + length}, func(it item) bool {
		switch {
		case run.Mapped:
			if it.damage != nil {
				return false
			}
			next := parseMapping(it.key, it.value)
			next.Time = run.Time // who reads does not mind
			return run.extend(next)
		case it.key > begin:
			run.Length = it.key - begin
			return false
		case it.damage != nil:
			damage = it.damage
			return false
		}
		run = parseMapping(it.key, it.value)
		return true
	})
	if err == nil {
		err = damage
	}
	return run, err
}

// Runs lists the mapped runs in the virtual blocks from begin to what is before
// end, in order, as long as they can be: two that follow each other differ in
// their Time, or are not together in the data. Where blocks cannot be read, a
// [DamageError] stands in their place, and the listing goes on after them; any
// other error ends it.
//
// A live pool is listed in parts of some hundred runs; each of them is as one
// superblock has it, the whole need not be.
func (d *Mappings) Runs(ctx context.Context, begin, end uint64) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		for begin < end {
			var part runsPart
			err := d.read(ctx, false, func(v *view, t tree) (err error) {
				part, err = v.runs(ctx, t, span{begin, end})
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

func (v *view) runs(ctx context.Context, t tree, keys span) (runsPart, error) {
	part := runsPart{end: keys.end}
	err := v.walk(ctx, t, keys, func(it item) bool {
		if it.damage == nil && part.extend(parseMapping(it.key, it.value)) {
			return true
		}
		if len(part.found) == runsAtOnce {
			part.end = it.key
			return false
		}
		if it.damage != nil {
			part.found = append(part.found, foundRun{err: it.damage})
		} else {
			part.found = append(part.found, foundRun{run: parseMapping(it.key, it.value)})
		}
		return true
	})
	return part, err
}

func (part *runsPart) extend(next Run) bool {
	if len(part.found) == 0 {
		return false
	}
	last := &part.found[len(part.found)-1]
	return last.err == nil && last.run.extend(next)
}

// Highest is the highest virtual block that is mapped; found is false where none
// is. Damage in the way to it is a [DamageError].
func (d *Mappings) Highest(ctx context.Context) (virtualBlock uint64, found bool, err error) {
	err = d.read(ctx, false, func(v *view, t tree) (err error) {
		virtualBlock, found, err = v.highest(ctx, t)
		return err
	})
	return virtualBlock, found, err
}
