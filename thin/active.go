package thin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/inuse"
)

// ActiveDevice is an active device of a pool, under one of its names.
type ActiveDevice struct {
	Device
	Info      dm.Info
	SizeBytes int64
	Origin    uint64 // the external origin's device number, 0 if there is none
}

// ErrOtherDevice says that a device-mapper device is not a thin device of the pool.
var ErrOtherDevice = errors.New("it is not a device of this pool")

// Active lists the active devices of the pool. An id that is active under several names is
// listed once for each.
func (p *Pool) Active(ctx context.Context) ([]ActiveDevice, error) {
	return p.active(ctx, func(string) bool { return true })
}

// ActiveOfOthers lists the active devices of the pool that package lend has not activated.
func (p *Pool) ActiveOfOthers(ctx context.Context) ([]ActiveDevice, error) {
	return p.active(ctx, func(name string) bool { return !strings.HasPrefix(name, inuse.LentPrefix) })
}

func (p *Pool) active(ctx context.Context, wanted func(name string) bool) ([]ActiveDevice, error) {
	var found []ActiveDevice
	err := p.kernel.each(ctx, wanted, func(name string, info dm.Info, table []dm.Target) {
		if d, err := p.parseActive(name, info, table); err == nil {
			found = append(found, d)
		}
	})
	return found, err
}

// FindActive finds an active device by its name. Errors are [dm.ErrNotFound] and
// [ErrOtherDevice].
func (p *Pool) FindActive(ctx context.Context, name string) (ActiveDevice, error) {
	info, table, err := p.kernel.dm.Table(ctx, name)
	if err != nil {
		return ActiveDevice{}, err
	}
	d, err := p.parseActive(name, info, table)
	if err != nil {
		return ActiveDevice{}, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

func (p *Pool) parseActive(name string, info dm.Info, table []dm.Target) (ActiveDevice, error) {
	t, err := parseDeviceTable(table)
	if err != nil || t.pool != p.number {
		return ActiveDevice{}, ErrOtherDevice
	}
	return ActiveDevice{
		Device: Device{Name: name, Number: info.Number, ID: t.id},
		Info:   info, SizeBytes: int64(t.sectors) * blockdev.SectorBytes, Origin: t.origin,
	}, nil
}

// Pools lists the names of all active pools.
func (k *Kernel) Pools(ctx context.Context) ([]string, error) {
	var names []string
	all := func(string) bool { return true }
	err := k.each(ctx, all, func(name string, _ dm.Info, table []dm.Target) {
		if _, err := parsePoolTable(table); err == nil {
			names = append(names, name)
		}
	})
	return names, err
}

// each calls do for each device-mapper device with a wanted name.
func (k *Kernel) each(ctx context.Context, wanted func(name string) bool, do func(name string, info dm.Info, table []dm.Target)) error {
	list, err := k.dm.List(ctx)
	if err != nil {
		return err
	}
	for _, d := range list {
		if !wanted(d.Name) {
			continue
		}
		info, table, err := k.dm.Table(ctx, d.Name)
		if errors.Is(err, dm.ErrNotFound) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		do(d.Name, info, table)
	}
	return nil
}

// Layout is the paths of the block devices that an active pool lies on, and the features that
// it was activated with.
type Layout struct {
	Metadata, Data string
	Features
}

// Layout returns the layout of the pool, from the kernel.
func (p *Pool) Layout(ctx context.Context) (Layout, error) {
	_, t, err := p.kernel.findPool(ctx, p.name)
	if err != nil {
		return Layout{}, err
	}
	l := Layout{Features: t.Features}
	if l.Metadata, err = DevicePath(t.metadata); err == nil {
		l.Data, err = DevicePath(t.data)
	}
	return l, err
}

// DevicePath is the path of a block device. number is its device number, as unix.Mkdev makes
// it.
func DevicePath(number uint64) (string, error) {
	to, err := os.Readlink(blockdev.Sysfs(number))
	if err != nil {
		return "", fmt.Errorf("block device %s: %w", blockdev.Text(number), err)
	}
	return "/dev/" + strings.ReplaceAll(filepath.Base(to), "!", "/"), nil
}
