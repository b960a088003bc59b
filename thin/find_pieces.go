package thin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/inuse"
)

// spot is a byte of a block device that is neither a partition nor a linear or striped device of
// device-mapper.
type spot struct {
	device uint64 // as unix.Mkdev makes it
	offset int64  // in bytes
}

// findPieces is [Kernel.FindPool] for metadata in pieces, as LVM has them. The pool's own metadata lie
// on a device-mapper device over the same pieces. So the first bytes of both are the same spot.
func (k *Kernel) findPieces(ctx context.Context, metadata block.Location) (*Pool, error) {
	wanted, err := k.spotsOf(ctx, metadata)
	if err != nil {
		return nil, err
	}
	names, err := k.Pools(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		p, t, err := k.findPool(ctx, name)
		if err != nil {
			continue // it was removed meanwhile
		}
		if s, err := k.spotOf(ctx, t.metadata, 0); err == nil && slices.Contains(wanted, s) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", metadata, ErrNotActive)
}

// spotsOf are where the first byte of a location lies: once on each loop device if it is in a file.
func (k *Kernel) spotsOf(ctx context.Context, at block.Location) (list []spot, err error) {
	first := at.Spot(0)
	devices, unknown := inuse.Devices(first.Path)
	for _, number := range devices {
		s, err := k.spotOf(ctx, number, first.Offset)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, unknown
	}
	return list, nil
}

// Overlays are the device-mapper devices of this host at one moment that show bytes of other devices
// as they are: linear and striped ones, and raid1. Logical volumes are such devices.
type Overlays struct {
	kernel *Kernel
	at     map[spot][]dm.Info

	mu    sync.Mutex
	bases map[string][]spot // where files and devices begin that are not device-mapper's; guarded by mu
}

// Overlays finds the devices.
func (k *Kernel) Overlays(ctx context.Context) (*Overlays, error) {
	type beginning struct {
		info  dm.Info
		below []spot // where its first byte lies, on the devices of its table
	}
	var list []beginning
	all := func(string) bool { return true }
	err := k.each(ctx, all, func(_ string, info dm.Info, table []dm.Target) {
		if s, ok := beneath(table, 0); ok {
			list = append(list, beginning{info, []spot{s}})
		} else if legs := legsOf(table); len(legs) > 0 {
			list = append(list, beginning{info, legs})
		}
	})
	if err != nil {
		return nil, err
	}
	o := &Overlays{kernel: k, at: make(map[spot][]dm.Info), bases: make(map[string][]spot)}
	used := make(map[uint64]bool) // numbers of devices that others lie on as a whole
	for _, b := range list {
		for _, s := range b.below {
			used[s.device] = used[s.device] || s.offset == 0
		}
	}
	for _, b := range list {
		if used[b.info.Number] {
			continue // the device over it shows the same
		}
		for _, s := range b.below {
			if s, err := k.spotOf(ctx, s.device, s.offset); err == nil {
				o.at[s] = append(o.at[s], b.info)
			}
		}
	}
	return o, nil
}

// At are the devices that begin where a location does. A device that another one shows as a whole is
// left out.
func (o *Overlays) At(ctx context.Context, at block.Location) ([]dm.Info, error) {
	spots, err := o.spotsOf(ctx, at)
	var list []dm.Info
	for _, s := range spots {
		list = append(list, o.at[s]...)
	}
	return list, err
}

// spotsOf is [Kernel.spotsOf]. Many locations lie on the same few devices.
func (o *Overlays) spotsOf(ctx context.Context, at block.Location) (list []spot, err error) {
	first := at.Spot(0)
	look, err := block.LookAt(first.Path)
	if err != nil {
		return nil, err
	}
	if look.DM != "" { // its table says where each byte lies
		return o.kernel.spotsOf(ctx, at)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	bases, known := o.bases[first.Path]
	if !known {
		if bases, err = o.kernel.spotsOf(ctx, block.At(first.Path)); err != nil {
			return nil, err
		}
		o.bases[first.Path] = bases
	}
	for _, base := range bases {
		list = append(list, spot{base.device, base.offset + first.Offset})
	}
	return list, nil
}

// legsOf are the legs of a raid1 device, nil of another one. The parameters of the target are
// "raid1 COUNT PARAM… LEGS META DATA META DATA …"; a device that is missing is "-".
func legsOf(table []dm.Target) (legs []spot) {
	if len(table) != 1 || table[0].Type != "raid" {
		return nil
	}
	words := strings.Fields(table[0].Params)
	if len(words) < 3 || words[0] != "raid1" {
		return nil
	}
	count, err := strconv.Atoi(words[1])
	if err != nil || count < 0 || 3+count > len(words) {
		return nil
	}
	for devices := words[3+count:]; len(devices) >= 2; devices = devices[2:] {
		if number, err := blockdev.Parse(devices[1]); err == nil {
			legs = append(legs, spot{number, 0})
		}
	}
	return legs
}

// maxStacked is how many devices may be stacked on each other.
const maxStacked = 16

// spotOf is where a byte of a block device lies in the end. It goes through partitions and linear
// and striped device-mapper devices.
func (k *Kernel) spotOf(ctx context.Context, number uint64, offset int64) (spot, error) {
	for range maxStacked {
		s, isPart, err := wholeOf(number, offset)
		if err != nil {
			return spot{}, err
		}
		if isPart {
			number, offset = s.device, s.offset
		}
		text, err := os.ReadFile(blockdev.Sysfs(number) + "/dm/name")
		if errors.Is(err, os.ErrNotExist) {
			return spot{number, offset}, nil
		}
		if err != nil {
			return spot{}, err
		}
		_, table, err := k.dm.Table(ctx, strings.TrimSuffix(string(text), "\n"))
		if err != nil {
			return spot{}, err
		}
		below, ok := beneath(table, offset)
		if !ok {
			return spot{number, offset}, nil
		}
		number, offset = below.device, below.offset
	}
	return spot{}, fmt.Errorf("block device %s: more than %d devices are stacked on each other", blockdev.Text(number), maxStacked)
}

// beneath is where a byte of a device with a table lies. ok is false unless its target is linear.
func beneath(table []dm.Target, offset int64) (s spot, ok bool) {
	for _, t := range table {
		begin, end := int64(t.Start)*blockdev.SectorBytes, int64(t.Start+t.Length)*blockdev.SectorBytes
		if offset < begin || offset >= end {
			continue
		}
		words := strings.Fields(t.Params)
		switch {
		case t.Type == "linear" && len(words) == 2:
		case t.Type == "striped" && len(words) >= 4 && offset == begin:
			words = words[2:4] // the first stripe
		default:
			return spot{}, false
		}
		device, err := blockdev.Parse(words[0])
		first, err2 := strconv.ParseInt(words[1], 10, 64)
		return spot{device, first*blockdev.SectorBytes + offset - begin}, err == nil && err2 == nil
	}
	return spot{}, false
}

// wholeOf is where a byte of a partition lies on its disk. isPart is false if the device is no
// partition.
func wholeOf(number uint64, offset int64) (s spot, isPart bool, err error) {
	dir, err := filepath.EvalSymlinks(blockdev.Sysfs(number))
	if err != nil {
		return s, false, fmt.Errorf("block device %s: %w", blockdev.Text(number), err)
	}
	start, err := os.ReadFile(filepath.Join(dir, "start"))
	if errors.Is(err, os.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	first, err := strconv.ParseInt(strings.TrimSpace(string(start)), 10, 64)
	if err != nil {
		return s, false, err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "dev"))
	if err != nil {
		return s, false, err
	}
	s.device, err = blockdev.Parse(strings.TrimSpace(string(text)))
	s.offset = first*blockdev.SectorBytes + offset
	return s, true, err
}
