package pdata

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
)

// Mappings opens the mappings of one device. It reads the blocks on the way to
// them only. ErrNoDevice says that there is none of that id.
func (m *Metadata) Mappings(ctx context.Context, id uint32) (*Mappings, error) {
	d := &Mappings{m: m, id: id}
	err := m.consistent(ctx, func(c *commit) error {
		_, err := d.tree(ctx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Mappings are where the data of one device are. Their methods may be called
// concurrently.
type Mappings struct {
	m  *Metadata
	id uint32
	// last is the device's tree as it was found last.
	last atomic.Pointer[tree]
}

// tree finds the device's own tree.
func (d *Mappings) tree(ctx context.Context, c *commit) (*tree, error) {
	if t := d.last.Load(); t != nil && t.c == c {
		return t, nil
	}
	value, err := c.devices(d.m).find(ctx, uint64(d.id))
	if err == nil && value == nil {
		err = ErrNoDevice
	}
	if err != nil {
		return nil, fmt.Errorf("device %d: %w", d.id, err)
	}
	t := &tree{m: d.m, c: c, name: fmt.Sprintf("mappings of device %d", d.id), root: binary.LittleEndian.Uint64(value), size: 8}
	d.last.Store(t)
	return t, nil
}

// Highest is the highest virtual block that is mapped; not ok where none is.
func (d *Mappings) Highest(ctx context.Context) (block uint64, ok bool, err error) {
	err = d.m.consistent(ctx, func(c *commit) error {
		t, err := d.tree(ctx, c)
		if err != nil {
			return err
		}
		block, ok, err = t.highest()
		return err
	})
	return block, ok, err
}

// highest goes down the right edge of a tree.
func (t *tree) highest() (key uint64, ok bool, err error) {
	at := place{t.root, 0, math.MaxUint64}
	var path []place
	for {
		n, fault := t.node(at.at)
		if fault == "" {
			fault = t.misplaced(n, at, path)
		}
		if fault != "" {
			return 0, false, &DamageError{Tree: t.name, Block: at.at, Fault: fault, First: at.first, Last: at.last}
		}
		if n.n == 0 {
			return 0, false, nil
		}
		if !n.internal {
			return n.key(n.n - 1), true, nil
		}
		path = append(path, at)
		at = place{n.child(n.n - 1), n.key(n.n - 1), at.last}
	}
}

// Run is Length blocks, from the virtual block Virtual on, that lie one after the
// other from the data block Data on, or are not mapped.
type Run struct {
	Virtual, Length uint64
	Mapped          bool
	Data            uint64 // where Mapped

	c *commit // by which it is so
}

// Run is the run that begins at a virtual block, at most `most` blocks of it, ≥ 1.
// Mappings are one run whenever they were made. Damage after the block ends the
// run; a DamageError is about the block itself.
func (d *Mappings) Run(ctx context.Context, virtual, most uint64) (run Run, err error) {
	err = d.m.consistent(ctx, func(c *commit) error {
		t, err := d.tree(ctx, c)
		if err != nil {
			return err
		}
		run, err = t.run(ctx, virtual, most)
		return err
	})
	return run, err
}

// Current tells whether a run is still so. Of a pool that is not live it is.
func (d *Mappings) Current(ctx context.Context, run Run) (bool, error) {
	if !d.m.opts.Live {
		return true, nil
	}
	same, err := d.m.holds(run.c)
	if err != nil || same {
		return same, err
	}
	now, err := d.Run(ctx, run.Virtual, run.Length)
	now.c = run.c
	return now == run, err
}

func (t *tree) run(ctx context.Context, virtual, most uint64) (Run, error) {
	run := Run{Virtual: virtual, Length: most, c: t.c}
	end := virtual + most - 1
	if end < virtual {
		end = math.MaxUint64
	}
	var at error // of the block itself
	next := virtual
	werr := t.mapped(ctx, virtual, end, func(key, data uint64) bool {
		switch {
		case next == virtual && key > virtual:
			run.Length = key - virtual
			return false
		case next == virtual:
			run.Mapped, run.Data = true, data
		case key != next || data != run.Data+(next-virtual):
			return false
		}
		next = key + 1
		return next != 0
	}, func(e *DamageError) bool {
		switch {
		case e.First <= virtual && next == virtual:
			at = e
		case next == virtual:
			run.Length = e.First - virtual
		}
		return false
	})
	if run.Mapped {
		run.Length = next - virtual
	}
	if werr == nil {
		werr = at
	}
	return run, werr
}

// mapped calls each for every mapping from first to last, in order, and lost for
// every range of blocks of which it cannot be told, until one returns false.
func (t *tree) mapped(ctx context.Context, first, last uint64, each func(key, data uint64) bool, lost func(*DamageError) bool) error {
	limit := t.c.sb.DataSpaceMapRoot.NrBlocks
	return t.walk(ctx, first, last, func(n *node, p place) bool {
		from := n.search(first)
		if from < 0 || n.key(from) < first {
			from++
		}
		for i := from; i < n.n && n.key(i) <= last; i++ {
			key := n.key(i)
			data := binary.LittleEndian.Uint64(n.value(i)) >> 24
			more := false
			if data < limit {
				more = each(key, data)
			} else {
				more = lost(&DamageError{
					Tree: t.name, Block: p.at, Fault: fmt.Sprintf("mapped to data block %d of %d", data, limit), First: key, Last: key,
				})
			}
			if !more {
				return false
			}
		}
		return true
	}, lost)
}

// Runs are the mapped runs between the virtual blocks first and last, in order. A
// DamageError stands for each range of which it cannot be told, and the runs
// after it follow. Of a live pool they are those of one commit; ErrMoving is the
// last where it did not stay the current one.
func (d *Mappings) Runs(ctx context.Context, first, last uint64) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		c := d.m.current.Load()
		t, err := d.tree(ctx, c)
		if err != nil {
			yield(Run{}, err)
			return
		}
		run, going := Run{c: c}, true
		flush := func() bool {
			if run.Length > 0 {
				going = yield(run, nil)
			}
			run = Run{c: c}
			return going
		}
		err = t.mapped(ctx, first, last, func(key, data uint64) bool {
			if run.Length == 0 || key != run.Virtual+run.Length || data != run.Data+run.Length {
				if !flush() {
					return false
				}
				run.Virtual, run.Data, run.Mapped = key, data, true
			}
			run.Length++
			return true
		}, func(e *DamageError) bool {
			going = flush() && yield(Run{}, e)
			return going
		})
		if !going || !flush() {
			return
		}
		if err == nil && d.m.opts.Live {
			var same bool
			if same, err = d.m.holds(c); err == nil && !same {
				err = ErrMoving
			}
		}
		if err != nil {
			yield(Run{}, err)
		}
	}
}
