package cli

import (
	"context"
	"errors"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

// findActive finds a pool's active device of a device-mapper name.
func findActive(ctx context.Context, p *thin.Pool, name string) (thin.ActiveDevice, error) {
	a, err := p.FindActive(ctx, name)
	if errors.Is(err, dm.ErrNotFound) || errors.Is(err, thin.ErrOtherDevice) {
		return a, adviceError{err, "thintree volume ls " + p.Name() + " shows which are active"}
	}
	return a, err
}

// mountsOf lists where a block device is mounted.
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
