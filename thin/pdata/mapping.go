package pdata

import (
	"context"
	"fmt"
	"iter"
	"math"
)

// Mapping is the mapping tree of one device, of the moment of one [View]. Its methods may be
// called concurrently.
type Mapping struct {
	view *View
	tree *tree
}

// Mapping finds the mapping tree of a device. The error is [ErrNoDevice] if the pool has no
// device of the id. No block of the tree is read.
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

// Run returns the run that begins at a virtual block, of at most maxLength blocks. If the block
// is mapped, the run has all blocks from it on that are mapped to contiguous data blocks; they
// may differ in their Time, and the run has that of the first. If the block is not mapped, the
// run has all unmapped blocks from it on. Damage at virtualBlock is a [DamageError]. Damage
// after it only ends the run.
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
			next.Time = run.Time // a change of Time does not end the run
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

// Runs lists the mapped runs among the virtual blocks from begin on, before end, in order. Each
// run is as long as possible: a new one begins only if the Time changes, or if the blocks are
// not contiguous. A range of blocks that cannot be read is listed as a [DamageError], and the
// listing continues after it. Any other error ends it.
func (m Mapping) Runs(ctx context.Context, begin, end uint64) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		var last Run // the run that may become longer; its Length is 0 if there is none
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

// Highest returns the highest mapped virtual block. found is false if none is mapped. Damage on
// the path to it is a [DamageError].
func (m Mapping) Highest(ctx context.Context) (virtualBlock uint64, found bool, err error) {
	return m.view.highest(ctx, m.tree)
}
