package lend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/reader"
	"thintree/thin/resolve"
)

// MaxPieces is the largest number of pieces that a device can be lent by.
const MaxPieces = 1 << 15

// lendPieces activates a device over the pieces of a thin device in the pool's data. The thin
// device itself stays inactive, so its owner can delete it, and the pool too. If the data lie
// on a linear device, as LVM makes it, the lent device is over the devices beneath, so that
// the linear device can be deactivated too. The error is [thin.ErrNotActive] if the pool is
// not active.
//
// Reads return the thin device's own data only while its mapping stays the same, which
// [reader.Version.Still] checks, and while the data lie in the same place, which still checks.
func (l *Lender) lendPieces(ctx context.Context, metadata block.Location, pieces []reader.Piece) (f *os.File, done func() error, still func(context.Context) error, err error) {
	p, err := l.pool(ctx, l.state(metadata), metadata)
	if err != nil {
		return nil, nil, nil, err
	}
	layout, err := p.Layout(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	st, err := resolve.Stat(layout.Data)
	if err != nil {
		return nil, nil, nil, err
	}
	under, err := l.beneath(ctx, st.Rdev)
	if err != nil {
		return nil, nil, nil, err
	}
	still = func(ctx context.Context) error {
		now, err := l.beneath(ctx, st.Rdev)
		if err == nil && !slices.Equal(now, under) {
			err = reader.ErrChanged
		}
		return err
	}
	f, done, err = l.stackPieces(ctx, pieces, under)
	return f, done, still, err
}

// stackPieces activates the device. Its zeros are the kernel's "zero" target. If the kernel
// has none, they are memory that was never written to.
func (l *Lender) stackPieces(ctx context.Context, pieces []reader.Piece, under []segment) (f *os.File, done func() error, err error) {
	if !l.noZero.Load() {
		f, done, err = l.stack(ctx, tableOf(pieces, under, nil), true)
		if !errors.Is(err, unix.EINVAL) {
			return f, done, err
		}
	}
	longest := int64(0)
	for _, p := range pieces {
		if p.Kind == reader.Unmapped {
			longest = max(longest, p.Length)
		}
	}
	memory, err := memoryDisk(ctx, max(longest, blockdev.SectorBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("memory for blocks without data: %w", err)
	}
	defer memory.Close()
	f, done, err = l.stack(ctx, tableOf(pieces, under, &segment{device: memory.Number()}), true)
	l.noZero.Store(err == nil)
	return f, done, err
}

// segment is a part of a pool's data: a range of a block device.
type segment struct {
	sectors, from uint64 // its length and its first sector, in sectors of 512 bytes
	device        uint64 // as unix.Mkdev makes it
}

// at is a sector of the segment, in the words of a linear target.
func (s segment) at(sector uint64) string {
	return fmt.Sprintf("%s %d", blockdev.Text(s.device), s.from+sector)
}

// beneath is what a block device consists of: its segments if it is a linear device of
// device-mapper, and itself otherwise.
func (l *Lender) beneath(ctx context.Context, number uint64) ([]segment, error) {
	whole := []segment{{sectors: ^uint64(0), device: number}}
	name, err := nameOf(number)
	if err != nil {
		return whole, nil // not a device-mapper device
	}
	_, table, err := l.kernel.DM().Table(ctx, name)
	if errors.Is(err, dm.ErrNotFound) {
		return nil, fmt.Errorf("the pool's data: %w", thin.ErrNotActive)
	}
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, t := range table {
		var major, minor uint32
		s := segment{sectors: t.Length}
		if n, _ := fmt.Sscanf(t.Params, "%d:%d %d", &major, &minor, &s.from); t.Type != "linear" || n != 3 {
			return whole, nil
		}
		s.device = unix.Mkdev(major, minor)
		list = append(list, s)
	}
	return list, nil
}

// tableOf is the table of a device of these pieces, over the segments of the pool's data.
// Unmapped pieces are read from zeros, or from the "zero" target if it is nil.
func tableOf(pieces []reader.Piece, data []segment, zeros *segment) []dm.Target {
	table := make([]dm.Target, 0, len(pieces))
	start := uint64(0)
	add := func(sectors uint64, kind, params string) {
		if sectors > 0 {
			table = append(table, dm.Target{Start: start, Length: sectors, Type: kind, Params: params})
			start += sectors
		}
	}
	for _, p := range pieces {
		left := uint64(p.Length) / blockdev.SectorBytes
		switch {
		case p.Kind == reader.Unmapped && zeros == nil:
			add(left, "zero", "")
			continue
		case p.Kind == reader.Unmapped:
			add(left, "linear", zeros.at(0))
			continue
		}
		from := uint64(p.Data) / blockdev.SectorBytes
		for _, s := range data {
			if p.Kind != reader.Mapped || left == 0 {
				break
			}
			if from >= s.sectors {
				from -= s.sectors
				continue
			}
			n := min(left, s.sectors-from)
			add(n, "linear", s.at(from))
			left, from = left-n, 0
		}
		add(left, "error", "") // damaged, or beyond the end of the data
	}
	return table
}
