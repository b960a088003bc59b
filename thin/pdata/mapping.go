package pdata

import (
	"context"
	"fmt"
	"iter"
	"math"
)

// Mapping is the mapping tree of one device in one moment. Its methods may be called
// concurrently.
type Mapping struct {
	view *View
	tree *tree
}

// Mapping finds the mapping tree of a device: [ErrNoDevice] if the pool has none of the id.
// It reads no block of that tree.
func (v *View) Mapping(ctx context.Context, id uint32) (Mapping, error) {
	p, found, err := v.lookup(ctx, v.deviceTree(), uint64(id))
	if err != nil {
		return Mapping{}, err
	}
	if !found {
		return Mapping{}, fmt.Errorf("device %d: %w", id, ErrNoDevice)
	}
	return Mapping{v, &tree{
		name: TreeMappings, device: id, root: le.Uint64(p), valueSize: 8,
		keyEnd: math.MaxInt64 / v.pool.dataBlockBytes(),
		checkValue: func(p []byte) error {
			if data := parseMapping(0, p).Data; data >= v.nrDataBlocks {
				return fmt.Errorf("mapped to data block %d, which is not one of the pool's %d", data, v.nrDataBlocks)
			}
			return nil
		},
	}}, nil
}

// Run is what a virtual block is mapped to, with as many of those that follow it, up to
// maxLength in all, as are mapped to data blocks that follow, whenever that was (the run's
// Time is the first block's). If the block is not mapped, the run is of those from it on
// that are not. Damage at virtualBlock is a [DamageError]; damage that follows only ends the
// run.
func (m Mapping) Run(ctx context.Context, virtualBlock, maxLength uint64) (Run, error) {
	length := min(max(maxLength, 1), math.MaxUint64-virtualBlock)
	run := Run{Virtual: virtualBlock, Length: length}
	for it, err := range m.view.walk(ctx, m.tree, span{virtualBlock, virtualBlock + length}) {
		switch {
		case err != nil:
			return run, err
		case run.Mapped:
			if it.damage != nil {
				return run, nil
			}
			next := parseMapping(it.key, it.value)
			next.Time = run.Time // a reader does not mind
			if !run.extend(next) {
				return run, nil
			}
		case it.key > virtualBlock:
			run.Length = it.key - virtualBlock
			return run, nil
		case it.damage != nil:
			return run, it.damage
		default:
			run = parseMapping(it.key, it.value)
		}
	}
	return run, nil
}

// Runs lists the mapped runs in the virtual blocks from begin to what is before end, in
// order, as long as they can be: two that follow each other differ in their Time, or are not
// together in the data. If blocks cannot be read, a [DamageError] stands in their place, and
// the listing goes on after them; any other error ends it.
func (m Mapping) Runs(ctx context.Context, begin, end uint64) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		var last Run // that may become longer; of no length if there is none
		flush := func() bool {
			run := last
			last = Run{}
			return run.Length == 0 || yield(run, nil)
		}
		for it, err := range m.view.walk(ctx, m.tree, span{begin, end}) {
			switch {
			case err != nil:
				yield(Run{}, err)
				return
			case it.damage != nil:
				if !flush() || !yield(Run{}, it.damage) {
					return
				}
			default:
				next := parseMapping(it.key, it.value)
				if last.Length > 0 && last.extend(next) {
					continue
				}
				if !flush() {
					return
				}
				last = next
			}
		}
		flush()
	}
}

// Highest is the highest virtual block that is mapped; found is false if none is. Damage on
// the path to it is a [DamageError].
func (m Mapping) Highest(ctx context.Context) (virtualBlock uint64, found bool, err error) {
	return m.view.highest(ctx, m.tree)
}
