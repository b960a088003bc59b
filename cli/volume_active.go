package cli

import (
	"context"
	"errors"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

// findActive finds the active device of a pool that has a device-mapper name.
func findActive(ctx context.Context, p *thin.Pool, name string) (thin.ActiveDevice, error) {
	a, err := p.FindActive(ctx, name)
	if errors.Is(err, dm.ErrNotFound) || errors.Is(err, thin.ErrOtherDevice) {
		return a, adviceError{err, "thintree volume ls " + p.Name() + " lists the active devices"}
	}
	return a, err
}

// mountsOf lists the mountpoints of a block device by its device number.
func mountsOf(number uint64) ([]string, error) {
	found, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return unix.Mkdev(uint32(m.Major), uint32(m.Minor)) != number, false
	})
	var dirs []string
	for _, m := range found {
		dirs = append(dirs, m.Mountpoint)
	}
	return dirs, err
}
