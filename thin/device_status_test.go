package thin

import (
	"errors"
	"testing"

	"thintree/thin/dm"
	"thintree/thin/dm/dmtest"
)

func TestDeviceStatusLineIsParsed(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]DeviceStatus{
		"0 -":       {},
		"256 32767": {MappedSectors: 256, HighestSector: 32767},
		"Fail":      {Failed: true},
		"Error":     {Failed: true},
		"-":         {Failed: true},
	} {
		if got, err := ParseDeviceStatus(line); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "0", "x", "x 1", "1 x", "- 1", "-1 1", "1 -1"} {
		if got, err := ParseDeviceStatus(line); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestDeviceStatusIsTheKernels(t *testing.T) {
	t.Parallel()
	fake, p, _ := fakePool(t)
	active(t, p, 1)
	if err := fake.Write("volume-1", 3, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := p.kernel.dm.Create(t.Context(), "no-table", ""); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		status DeviceStatus
		err    error
	}{
		"volume-1": {DeviceStatus{MappedSectors: 128, HighestSector: 4*128 - 1}, nil},
		"no-table": {},
		"pool":     {DeviceStatus{}, errNoThinDevice},
		"missing":  {DeviceStatus{}, dm.ErrNotFound},
	} {
		info, got, err := p.kernel.DeviceStatus(t.Context(), name)
		if got != want.status || !errors.Is(err, want.err) || err == nil && info.Name != name {
			t.Errorf("%s: %+v, %+v, %v; want %+v, %v", name, info, got, err, want.status, want.err)
		}
	}
	if err := fake.SetMode("pool", dmtest.Failed); err != nil {
		t.Fatal(err)
	}
	if _, got, err := p.kernel.DeviceStatus(t.Context(), "volume-1"); !got.Failed || err != nil {
		t.Errorf("of a failed pool: %+v, %v", got, err)
	}
}
