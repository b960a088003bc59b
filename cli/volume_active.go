package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

// activeDevice is a thin device of a pool that is active.
type activeDevice struct {
	dm.Info
	id        uint32
	sizeBytes int64
	origin    string // the path of the external origin, "" for none
}

// activeDevices lists those of the pool whose device has a number.
func activeDevices(ctx context.Context, k *thin.Kernel, pool uint64) ([]activeDevice, error) {
	list, err := k.DM().List(ctx)
	if err != nil {
		return nil, err
	}
	var active []activeDevice
	for _, d := range list {
		info, table, err := k.DM().Table(ctx, d.Name)
		if errors.Is(err, dm.ErrNotFound) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, err
		}
		a, ok := parseThin(table, pool)
		if ok {
			a.Info = info
			active = append(active, a)
		}
	}
	return active, nil
}

// parseThin reads the table of a thin device of a pool.
func parseThin(table []dm.Target, pool uint64) (activeDevice, bool) {
	if len(table) != 1 || table[0].Type != "thin" {
		return activeDevice{}, false
	}
	var major, minor, id uint32
	words := strings.Fields(table[0].Params)
	if n, _ := fmt.Sscanf(table[0].Params, "%d:%d %d", &major, &minor, &id); n != 3 || unix.Mkdev(major, minor) != pool {
		return activeDevice{}, false
	}
	a := activeDevice{id: id, sizeBytes: int64(table[0].Length) * sectorBytes}
	if len(words) > 2 {
		a.origin, _ = blockDevice(words[2])
	}
	return a, true
}

// findActive finds the one of a device-mapper name.
func findActive(ctx context.Context, k *thin.Kernel, p *thin.Pool, name string) (activeDevice, error) {
	pool, err := k.DM().Info(ctx, p.Name())
	if err != nil {
		return activeDevice{}, err
	}
	info, table, err := k.DM().Table(ctx, name)
	advice := "thintree volume ls " + p.Name() + " shows which are active"
	if errors.Is(err, dm.ErrNotFound) {
		return activeDevice{}, adviceError{err, advice}
	}
	if err != nil {
		return activeDevice{}, err
	}
	a, ok := parseThin(table, pool.Number)
	if !ok {
		return activeDevice{}, fmt.Errorf("%s: it is no volume of pool %s: %s", name, p.Name(), advice)
	}
	a.Info = info
	return a, nil
}

// namesOf lists by which names an id of a pool is active, as far as can be told.
func namesOf(ctx context.Context, k *thin.Kernel, p *thin.Pool, id uint32) []string {
	pool, err := k.DM().Info(ctx, p.Name())
	if err != nil {
		return nil
	}
	active, _ := activeDevices(ctx, k, pool.Number)
	var names []string
	for _, a := range active {
		if a.id == id {
			names = append(names, a.Name)
		}
	}
	return names
}

// blockDevice is the path of the block device of a number "7:0".
func blockDevice(number string) (string, error) {
	to, err := os.Readlink("/sys/dev/block/" + number)
	if err != nil {
		return "", fmt.Errorf("block device %s: %w", number, err)
	}
	return "/dev/" + strings.ReplaceAll(filepath.Base(to), "!", "/"), nil
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
