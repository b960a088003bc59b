package pdata

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func openDevice(tb testing.TB, m *Metadata, id uint32) *Mappings {
	tb.Helper()
	d, err := m.Mappings(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestRunsContinueOverLeaves(t *testing.T) {
	t.Parallel()
	want := []Run{mapped(3, 100, 5000, 1), mapped(5003, 5100, 10, 2), mapped(5013, 9000, 1, 2), mapped(6000, 9001, 4000, 2)}
	for _, fanout := range []int{0, 3, 7} {
		m := build(poolSpec{fanout: fanout, devices: []deviceSpec{device(1, want...)}}).open(t, Options{})
		if diff := cmp.Diff(want, readRuns(t, m, 1)); diff != "" {
			t.Errorf("%d entries in a node: %s", fanout, diff)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	m := build(poolSpec{fanout: 5, devices: []deviceSpec{device(1, mapped(10, 50, 100, 1), mapped(110, 150, 5, 2), mapped(120, 7, 1, 2))}}).
		open(t, Options{})
	d := openDevice(t, m, 1)
	hole := func(virtual, length uint64) Run { return Run{Virtual: virtual, Length: length} }
	for _, test := range []struct {
		virtual, most uint64
		want          Run
	}{
		{0, 1000, hole(0, 10)},
		{0, 4, hole(0, 4)},
		{10, 1000, mapped(10, 50, 105, 1)},
		{30, 7, mapped(30, 70, 7, 1)},
		{30, 0, mapped(30, 70, 1, 1)},
		{109, 1000, mapped(109, 149, 6, 1)},
		{110, 1000, mapped(110, 150, 5, 2)},
		{116, 1000, hole(116, 4)},
		{120, math.MaxUint64, mapped(120, 7, 1, 2)},
		{121, 1000, hole(121, 1000)},
		{1 << 62, math.MaxUint64, hole(1<<62, math.MaxUint64-1<<62)},
	} {
		got, err := d.Run(t.Context(), test.virtual, test.most)
		if err != nil || got != test.want {
			t.Errorf("%d, at most %d: got %+v, %v, want %+v", test.virtual, test.most, got, err, test.want)
		}
	}
}

func TestHighest(t *testing.T) {
	t.Parallel()
	m := build(poolSpec{fanout: 4, devices: []deviceSpec{device(1, mapped(10, 50, 100, 1)), device(2)}}).open(t, Options{})
	if h, found, err := openDevice(t, m, 1).Highest(t.Context()); h != 109 || !found || err != nil {
		t.Error(h, found, err)
	}
	if h, found, err := openDevice(t, m, 2).Highest(t.Context()); found || err != nil {
		t.Error(h, found, err)
	}
}

func TestListingMayStop(t *testing.T) {
	t.Parallel()
	m := build(manyDevices(10)).open(t, Options{})
	for range m.Devices(t.Context()) {
		break
	}
	for range openDevice(t, m, 3).Runs(t.Context(), 0, 10) {
		break
	}
	for range m.DataSpaceMap().All(t.Context()) {
		break
	}
}

// drawRuns draws runs of mapped blocks, in order.
func drawRuns(t *rapid.T, most int) (runs []Run) {
	var virtual uint64
	for range rapid.IntRange(0, most).Draw(t, "runs") {
		virtual += rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(0, 1<<40)).Draw(t, "gap")
		r := mapped(virtual, rapid.Uint64Range(0, 3000).Draw(t, "data"), rapid.Uint64Range(1, 40).Draw(t, "length"),
			rapid.Uint32Range(0, 3).Draw(t, "time"))
		runs = append(runs, r)
		virtual = r.end()
	}
	return runs
}

// joined joins contiguous runs of the same Time.
func joined(runs []Run) (list []Run) {
	for _, r := range runs {
		if n := len(list); n > 0 && list[n-1].end() == r.Virtual && list[n-1].Data+list[n-1].Length == r.Data && list[n-1].Time == r.Time {
			list[n-1].Length += r.Length
		} else {
			list = append(list, r)
		}
	}
	return list
}

// cut is the part of runs in a range of virtual blocks.
func cut(runs []Run, begin, end uint64) (list []Run) {
	for _, r := range runs {
		from, to := max(begin, r.Virtual), min(end, r.end())
		if from < to {
			list = append(list, mapped(from, r.Data+from-r.Virtual, to-from, r.Time))
		}
	}
	return list
}

func TestBuiltPoolIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		spec := poolSpec{fanout: rapid.IntRange(2, 60).Draw(t, "fanout"), dataBlocks: 4000}
		ids := rapid.SliceOfNDistinct(rapid.Uint32Range(0, MaxDevices-1), 1, 4, rapid.ID[uint32]).Draw(t, "ids")
		for _, id := range ids {
			d := device(id, drawRuns(t, 40)...)
			if n := len(spec.devices); n > 0 && rapid.Bool().Draw(t, "snapshot") {
				d.mappings = spec.devices[n-1].mappings
			}
			spec.devices = append(spec.devices, d)
		}
		im := build(spec)
		m, err := Open(t.Context(), im, int64(len(im.p)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range spec.devices {
			checkDevice(t, m, want.ID, joined(want.mappings))
		}
	})
}

func checkDevice(t *rapid.T, m *Metadata, id uint32, want []Run) {
	d, err := m.Mappings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	begin := rapid.Uint64Range(0, 1<<42).Draw(t, "begin")
	if len(want) > 0 && rapid.Bool().Draw(t, "near") {
		begin = rapid.SampledFrom(want).Draw(t, "run").Virtual + rapid.Uint64Range(0, 50).Draw(t, "plus")
	}
	for _, within := range []span{{0, math.MaxUint64}, {begin, begin + rapid.Uint64Range(0, 100).Draw(t, "blocks")}} {
		var got []Run
		for r, err := range d.Runs(t.Context(), within.begin, within.end) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		if diff := cmp.Diff(cut(want, within.begin, within.end), got); diff != "" {
			t.Fatal(diff)
		}
	}
	one, err := d.Run(t.Context(), begin, 100)
	if err != nil {
		t.Fatal(err)
	}
	near := cut(want, begin, begin+100)
	expect := Run{Virtual: begin, Length: 100}
	if len(near) > 0 && near[0].Virtual == begin {
		for i := range near {
			near[i].Time = near[0].Time // a change of Time does not end a Run
		}
		expect = joined(near)[0]
	} else if len(near) > 0 {
		expect.Length = near[0].Virtual - begin
	}
	if one != expect {
		t.Fatalf("got %+v, want %+v", one, expect)
	}
}
