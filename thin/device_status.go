package thin

import (
	"context"
	"fmt"
	"strings"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
)

// DeviceStatus is the kernel's status of an active thin device.
type DeviceStatus struct {
	// Failed is true if the pool has failed. The rest is not known then.
	Failed bool
	// MappedSectors is how much of the device has data, in sectors of 512 bytes.
	MappedSectors uint64
	// HighestSector is the last sector that has data. It means nothing if MappedSectors
	// is 0.
	HighestSector uint64
}

// MappedBytes is how much of the device has data, in bytes.
func (s DeviceStatus) MappedBytes() int64 { return int64(s.MappedSectors) * blockdev.SectorBytes }

// DeviceStatus returns the status of a thin device and the state of its device-mapper device.
// The status is zero if that has no table. The error is [dm.ErrNotFound] if no device has the
// name.
func (k *Kernel) DeviceStatus(ctx context.Context, name string) (dm.Info, DeviceStatus, error) {
	info, targets, err := k.dm.Status(ctx, name)
	if err != nil || len(targets) == 0 {
		return info, DeviceStatus{}, err
	}
	if len(targets) != 1 || targets[0].Type != deviceTarget {
		return info, DeviceStatus{}, fmt.Errorf("%s: %w", name, errNoThinDevice)
	}
	s, err := ParseDeviceStatus(targets[0].Params)
	if err != nil {
		return info, DeviceStatus{}, fmt.Errorf("%s: %w", name, err)
	}
	return info, s, nil
}

// ParseDeviceStatus parses a status line of the thin target.
func ParseDeviceStatus(params string) (DeviceStatus, error) {
	bad := fmt.Errorf("thin status %q: not understood", params)
	words := strings.Fields(params)
	switch {
	case len(words) == 1 && (words[0] == "Fail" || words[0] == "Error" || words[0] == "-"):
		return DeviceStatus{Failed: true}, nil
	case len(words) < 2:
		return DeviceStatus{}, bad
	}
	mapped, ok := number(words[0])
	highest, ok2 := number(words[1])
	if !ok || !ok2 && words[1] != "-" {
		return DeviceStatus{}, bad
	}
	return DeviceStatus{MappedSectors: mapped, HighestSector: highest}, nil
}
