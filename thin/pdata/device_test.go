package pdata

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listed is the result of a listing, in order: the ids of devices, and the errors.
func listed(tb testing.TB, m *Metadata) (ids []uint32, devices map[uint32]DeviceDetails, errs []error) {
	tb.Helper()
	devices = map[uint32]DeviceDetails{}
	for d, err := range m.Devices(tb.Context()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ids = append(ids, d.ID)
		devices[d.ID] = d
	}
	return ids, devices, errs
}

// manyDevices is a pool of n devices.
func manyDevices(n uint32) poolSpec {
	s := poolSpec{fanout: 50}
	for id := range n {
		s.devices = append(s.devices, device(3*id, mapped(0, uint64(id), 1, 0)))
	}
	return s
}

func TestDevicesAreListedInOrder(t *testing.T) {
	t.Parallel()
	spec := manyDevices(3*devicesAtOnce + 5)
	ids, devices, errs := listed(t, build(spec).open(t, Options{}))
	if len(errs) > 0 || !slices.IsSorted(ids) || len(ids) != len(spec.devices) {
		t.Fatalf("%d ids, %v", len(ids), errs)
	}
	for _, want := range spec.devices {
		want.MappedBlocks = 1
		got := devices[want.ID]
		if got.MappingRoot == 0 {
			t.Errorf("device %d has no mapping root", got.ID)
		}
		if got.MappingRoot = 0; got != want.DeviceDetails { // any block will do
			t.Errorf("got %+v, want %+v", got, want.DeviceDetails)
		}
	}
}

func TestNoDevices(t *testing.T) {
	t.Parallel()
	m := build(poolSpec{}).open(t, Options{})
	if ids, _, errs := listed(t, m); len(ids)+len(errs) > 0 {
		t.Error(ids, errs)
	}
	if _, err := m.Device(t.Context(), 1); !errors.Is(err, ErrNoDevice) {
		t.Error(err)
	}
	if _, err := m.Mappings(t.Context(), 1); !errors.Is(err, ErrNoDevice) {
		t.Error(err)
	}
}

func TestIDInOnlyOneTreeIsListedAndReported(t *testing.T) {
	t.Parallel()
	noDetails, noMappings := device(2, mapped(0, 1, 1, 0)), device(3)
	noDetails.InDetails, noMappings.InMappings = false, false
	m := build(poolSpec{devices: []deviceSpec{device(1), noDetails, noMappings, device(4)}}).open(t, Options{})
	ids, devices, errs := listed(t, m)
	if !slices.Equal(ids, []uint32{1, 2, 3, 4}) {
		t.Error(ids)
	}
	if d := devices[2]; d != (DeviceDetails{ID: 2, InMappings: true, MappingRoot: d.MappingRoot}) || d.MappingRoot == 0 {
		t.Errorf("%+v", d)
	}
	if d := devices[3]; d.InMappings || d.MappingRoot != 0 || !d.InDetails || d.TransactionID != 4 {
		t.Errorf("%+v", d)
	}
	want := []error{&MismatchError{2, true, false}, &MismatchError{3, false, true}}
	if diff := cmp.Diff(want, errs); diff != "" {
		t.Error(diff)
	}
	for _, err := range errs {
		if !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
	}
	if runs := readRuns(t, m, 2); len(runs) != 1 {
		t.Errorf("the mappings of a device without details: %v", runs)
	}
	if _, err := m.Mappings(t.Context(), 3); !errors.Is(err, ErrNoDevice) {
		t.Error(err)
	}
}

// damages are the ranges of keys of damage errors.
func damages(t *testing.T, errs []error) (ranges []span) {
	t.Helper()
	for _, err := range errs {
		var d *DamageError
		if !errors.As(err, &d) || !errors.Is(err, syscall.EIO) {
			t.Errorf("not damage: %v", err)
			continue
		}
		ranges = append(ranges, span{d.KeyBegin, d.KeyEnd})
	}
	return ranges
}

func TestOneTreeListsWhatTheOtherLost(t *testing.T) {
	t.Parallel()
	spec := manyDevices(2 * devicesAtOnce)
	good := build(spec)
	for name, root := range map[string]uint64{"details": good.super.DeviceDetailsRoot, "mappings": good.super.DataMappingRoot} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			im := good.clone()
			lost := im.leafOf(root, 1500)
			first := parseNode(im.block(lost)).key(0)
			im.flip(lost, 100)
			ids, devices, errs := listed(t, im.open(t, Options{}))
			if len(ids) != len(spec.devices) || !slices.IsSorted(ids) {
				t.Errorf("%d devices", len(ids))
			}
			ranges := damages(t, errs)
			if len(ranges) != 1 || ranges[0].begin != first {
				t.Fatal(errs)
			}
			for id, d := range devices {
				in := ranges[0].begin <= uint64(id) && uint64(id) < ranges[0].end
				if d.InDetails != (!in || name != "details") || d.InMappings != (!in || name != "mappings") {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

func TestDamagedRootIsReportedOnce(t *testing.T) {
	t.Parallel()
	spec := manyDevices(4 * devicesAtOnce)
	im := build(spec)
	im.flip(im.super.DeviceDetailsRoot, 50)
	ids, _, errs := listed(t, im.open(t, Options{}))
	if diff := cmp.Diff([]span{{0, MaxDevices}}, damages(t, errs), cmp.AllowUnexported(span{})); diff != "" || len(ids) != len(spec.devices) {
		t.Errorf("%d devices, %s", len(ids), diff)
	}
}

func TestDeviceReadsOnlyTheBlocksOnItsPath(t *testing.T) {
	t.Parallel()
	im := build(manyDevices(5000))
	m := im.open(t, Options{})
	r := &countingReader{image: im}
	m.r = r
	d, err := m.Device(t.Context(), 4500)
	if err != nil || d.ID != 4500 || !d.InMappings || !d.InDetails {
		t.Errorf("%+v %v", d, err)
	}
	want := len(im.way(im.super.DataMappingRoot, 4500)) + len(im.way(im.super.DeviceDetailsRoot, 4500))
	if r.reads != want {
		t.Errorf("read %d blocks, want %d", r.reads, want)
	}
}

// countingReader counts reads.
type countingReader struct {
	*image
	reads int
}

func (r *countingReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	r.reads++
	return r.image.ReadAt(ctx, p, off)
}

func TestDeviceWithDamagedDetails(t *testing.T) {
	t.Parallel()
	im := build(poolSpec{devices: []deviceSpec{device(1, mapped(5, 6, 7, 0))}})
	im.flip(im.super.DeviceDetailsRoot, 50)
	m := im.open(t, Options{})
	d, err := m.Device(t.Context(), 1)
	if !errors.As(err, new(*DamageError)) || d != (DeviceDetails{ID: 1, InMappings: true, MappingRoot: d.MappingRoot}) {
		t.Errorf("%+v %v", d, err)
	}
	if diff := cmp.Diff([]Run{mapped(5, 6, 7, 0)}, readRuns(t, m, 1)); diff != "" {
		t.Error(diff)
	}
}
