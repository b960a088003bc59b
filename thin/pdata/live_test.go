package pdata

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// movingPool is metadata that change while they are read: the states follow each other, each
// for a number of reads.
type movingPool struct {
	mu     sync.Mutex
	states []*image // of equal lengths
	after  int      // how many reads each state stays
	reads  int
}

func (p *movingPool) ReadAt(ctx context.Context, b []byte, off int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reads++; p.reads > p.after && len(p.states) > 1 {
		p.states, p.reads = p.states[1:], 1
	}
	return p.states[0].ReadAt(ctx, b, off)
}

func (p *movingPool) open(tb testing.TB, o Options) *Metadata {
	tb.Helper()
	return mustOpen(tb, p, int64(len(p.states[0].p)), o)
}

// twoStates are two states of one pool, with different contents in the same blocks.
func twoStates() (specs [2]poolSpec, images [2]*image) {
	specs[0] = poolSpec{time: 1, fanout: 4, blocks: 200, dataBlocks: 900,
		devices: []deviceSpec{device(1, mapped(0, 0, 40, 0)), device(2, mapped(50, 50, 9, 1)), device(5, mapped(0, 500, 30, 0))}}
	specs[1] = poolSpec{time: 2, fanout: 3, blocks: 200, dataBlocks: 900,
		devices: []deviceSpec{device(1, mapped(0, 700, 20, 2), mapped(25, 0, 40, 2)), device(3), device(5, mapped(0, 500, 30, 0))}}
	return specs, [2]*image{build(specs[0]), build(specs[1])}
}

func TestReadsOfALivePoolAreOfOneSuperblock(t *testing.T) {
	t.Parallel()
	specs, images := twoStates()
	ways := [2][]Run{specs[0].devices[0].mappings, specs[1].devices[0].mappings}
	sets := [2][]uint32{{1, 2, 5}, {1, 3, 5}}
	for after := 3; after < 60; after++ {
		m := (&movingPool{states: images[:], after: after}).open(t, Options{Live: true})
		ids, _, errs := listed(t, m)
		if len(errs) > 0 || !slices.Equal(ids, sets[0]) && !slices.Equal(ids, sets[1]) {
			t.Errorf("changed after %d reads: devices %v, %v", after, ids, errs)
		}
		runs := readRuns(t, m, 1)
		if !cmp.Equal(runs, ways[0]) && !cmp.Equal(runs, ways[1]) {
			t.Errorf("changed after %d reads: %v", after, runs)
		}
		for c, err := range m.MetadataSpaceMap().All(t.Context()) {
			if err != nil {
				t.Errorf("changed after %d reads: %v, %v", after, c, err)
			}
		}
	}
}

func TestRefreshReportsChange(t *testing.T) {
	t.Parallel()
	_, images := twoStates()
	p := &movingPool{states: images[:1], after: 1 << 30}
	m := p.open(t, Options{})
	d := openDevice(t, m, 1)
	generation := m.Generation()
	if changed, err := m.Refresh(t.Context()); changed || err != nil || m.Generation() != generation {
		t.Error(changed, err)
	}
	if r, err := d.Run(t.Context(), 0, 100); err != nil || r != mapped(0, 0, 40, 0) {
		t.Error(r, err)
	}
	p.states = images[1:]
	if changed, err := m.Refresh(t.Context()); !changed || err != nil || m.Generation() == generation {
		t.Error(changed, err)
	}
	if r, err := d.Run(t.Context(), 0, 100); err != nil || r != mapped(0, 700, 20, 2) {
		t.Error(r, err)
	}
	if s := m.Superblock(); s.Time != 2 {
		t.Error(s.Time)
	}
}

func TestCurrentComparesTheMapping(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{false, true} {
		_, images := twoStates()
		p := &movingPool{states: images[:1], after: 1 << 30}
		m := p.open(t, Options{Live: live})
		one, five := openDevice(t, m, 1), openDevice(t, m, 5)
		runOne, err1 := one.Run(t.Context(), 0, 10)
		runFive, err5 := five.Run(t.Context(), 0, 10)
		if err := errors.Join(err1, err5); err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{true, false} {
			p.states = images[i:]
			if same, err := one.Current(t.Context(), runOne); err != nil || same != want {
				t.Errorf("a changed mapping in state %d: %v, %v", i, same, err)
			}
			if same, err := five.Current(t.Context(), runFive); err != nil || !same {
				t.Errorf("an unchanged mapping in state %d: %v, %v", i, same, err)
			}
		}
	}
}

func TestReadsOfAViewAreOfOneSuperblock(t *testing.T) {
	t.Parallel()
	_, images := twoStates()
	ways := [2][2]Run{
		{mapped(0, 0, 40, 0), mapped(39, 39, 1, 0)},
		{mapped(0, 700, 20, 2), mapped(39, 14, 26, 2)},
	}
	for after := 3; after < 40; after++ {
		p := &movingPool{states: images[:], after: after}
		m := p.open(t, Options{Live: true})
		peek := func() (got [2]Run, err error) {
			v := m.View()
			mapping, err := v.Mapping(t.Context(), 1)
			for i, block := range []uint64{0, 39} {
				if err == nil {
					err = v.CheckInTime(t.Context())
				}
				if err == nil {
					got[i], err = mapping.Run(t.Context(), block, 100)
				}
				for range 3 { // stand for reads of data, which take time
					_, _ = p.ReadAt(t.Context(), make([]byte, BlockBytes), 0)
				}
			}
			if check := v.Check(t.Context()); check != nil {
				return got, check
			}
			return got, err
		}
		got, err := peek()
		moved := len(p.states) == 1 && got != ways[1]
		if moved && !errors.Is(err, ErrChanging) {
			t.Errorf("changed after %d reads without an error: %v", after, got)
		}
		for errors.Is(err, ErrChanging) { // also if this process was too slow
			got, err = peek()
		}
		if err != nil || got != ways[0] && got != ways[1] {
			t.Errorf("changed after %d reads: %v, %v", after, got, err)
		}
	}
}

func TestViewThatIsCheckedTooLateProvesNothing(t *testing.T) {
	t.Parallel()
	_, images := twoStates()
	m := (&movingPool{states: images[:1], after: 1 << 30}).open(t, Options{Live: true})
	v := m.View()
	time.Sleep(2 * m.trust)
	if err := v.Check(t.Context()); !errors.Is(err, ErrChanging) {
		t.Error(err)
	}
}

func TestSlowWalkOfALivePoolIsRepeated(t *testing.T) {
	t.Parallel()
	_, images := twoStates()
	im := images[0]
	leaf := im.leafOf(im.deviceRoot(1), 0)
	slow := false
	r := readerFunc(func(p []byte, off int64) (int, error) {
		n, err := im.ReadAt(t.Context(), p, off)
		if slow && off == int64(leaf)*BlockBytes {
			// During this walk the pool changes, but the numbers of all roots stay
			// the same.
			slow = false
			time.Sleep(4 * trust)
			im.edit(leaf, func(b []byte) { copy(parseNode(b).value(0), le.AppendUint64(nil, 800<<24)) })
		}
		return n, err
	})
	m := mustOpen(t, r, int64(len(im.p)), Options{Live: true})
	d := openDevice(t, m, 1)
	slow = true
	if r, err := d.Run(t.Context(), 0, 1); err != nil || r != mapped(0, 800, 1, 0) {
		t.Error(r, err)
	}
}

func TestOldBlocksOfALivePoolAreNotTrusted(t *testing.T) {
	t.Parallel()
	_, images := twoStates()
	p := &movingPool{states: images[:1], after: 1 << 30}
	m := p.open(t, Options{Live: true})
	m.trust = 0
	d := openDevice(t, m, 1)
	if r, err := d.Run(t.Context(), 0, 1); err != nil || r != mapped(0, 0, 1, 0) {
		t.Fatal(r, err)
	}
	// Another mapping, with the same superblock.
	p.states[0].edit(p.states[0].leafOf(p.states[0].deviceRoot(1), 0), func(b []byte) {
		copy(parseNode(b).value(0), le.AppendUint64(nil, 800<<24))
	})
	if r, err := d.Run(t.Context(), 0, 1); err != nil || r != mapped(0, 800, 1, 0) {
		t.Error(r, err)
	}
}

func TestPoolThatNeverRestsIsAnError(t *testing.T) {
	t.Parallel()
	_, images := twoStates()
	im := images[0]
	r := readerFunc(func(p []byte, off int64) (int, error) {
		if off == 0 {
			im.edit(0, func(p []byte) { le.PutUint32(p[44:], le.Uint32(p[44:])+1) })
		}
		return im.ReadAt(t.Context(), p, off)
	})
	m := mustOpen(t, r, int64(len(im.p)), Options{Live: true})
	if _, err := m.Device(t.Context(), 1); !errors.Is(err, ErrChanging) {
		t.Error(err)
	}
}

func TestHalfWrittenSuperblockIsReadAgain(t *testing.T) {
	t.Parallel()
	_, images := twoStates()
	half := images[0].clone()
	copy(half.block(0)[:48], images[1].block(0)[:48])
	for _, live := range []bool{false, true} {
		p := &movingPool{states: []*image{half, images[1]}, after: 2}
		_, err := Open(t.Context(), p, int64(len(half.p)), Options{Live: live})
		if live && err != nil || !live && !errors.Is(err, ErrChecksum) {
			t.Errorf("live %v: %v", live, err)
		}
	}
}

func TestDeviceIsMissingIfAnotherHasItsID(t *testing.T) {
	t.Parallel()
	specs, images := twoStates()
	specs[1].devices[0].TransactionID = 77
	images[1] = build(specs[1])
	p := &movingPool{states: images[:1], after: 1 << 30}
	m := p.open(t, Options{Live: true})
	again, gone, same := openDevice(t, m, 1), openDevice(t, m, 2), openDevice(t, m, 5)
	p.states = images[1:]
	for _, d := range []*Mappings{again, gone} {
		if r, err := d.Run(t.Context(), 0, 1); !errors.Is(err, ErrNoDevice) {
			t.Errorf("device %d: %v, %v", d.id, r, err)
		}
	}
	if r, err := same.Run(t.Context(), 0, 1); err != nil || r != mapped(0, 500, 1, 0) {
		t.Error(r, err)
	}
}

func TestConcurrentReadersOfAMovingPool(t *testing.T) {
	t.Parallel()
	specs, images := twoStates()
	states := make([]*image, 0, 40)
	for i := range 40 {
		im := images[i%2].clone()
		im.edit(0, func(p []byte) { le.PutUint32(p[44:], uint32(i)) }) // so that no two superblocks are equal
		states = append(states, im)
	}
	m := (&movingPool{states: states, after: 300}).open(t, Options{Live: true})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			d, err := m.Mappings(t.Context(), 1)
			if err != nil {
				t.Error(err)
				return
			}
			for range 100 {
				r, err := d.Run(t.Context(), 0, 100)
				if err != nil || r != specs[0].devices[0].mappings[0] && r != specs[1].devices[0].mappings[0] {
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	group.Wait()
}

func TestWalksEndWithTheirContext(t *testing.T) {
	t.Parallel()
	im := build(sharedPool())
	m := im.open(t, Options{})
	d := openDevice(t, m, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	last := func(seq func(func(error) bool)) (err error) {
		seq(func(e error) bool { err = e; return true })
		return err
	}
	for name, err := range map[string]error{
		"Run":     func() error { _, err := d.Run(ctx, 0, 1); return err }(),
		"Highest": func() error { _, _, err := d.Highest(ctx); return err }(),
		"Runs": last(func(yield func(error) bool) {
			for _, err := range d.Runs(ctx, 0, 9) {
				yield(err)
			}
		}),
		"Devices": last(func(yield func(error) bool) {
			for _, err := range m.Devices(ctx) {
				yield(err)
			}
		}),
		"All": last(func(yield func(error) bool) {
			for _, err := range m.DataSpaceMap().All(ctx) {
				yield(err)
			}
		}),
		"Refresh": func() error { _, err := m.Refresh(ctx); return err }(),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
