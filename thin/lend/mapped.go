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

// MaxPieces is how many pieces a device may be in that is lent by its pieces.
const MaxPieces = 1 << 15

// lendPieces activates a device that reads the pieces of a thin device where they lie in the
// pool's data. The thin device itself stays inactive, so its owner can delete it, and the
// pool too. If the data lie on linear devices of device-mapper, as LVM makes them, it is over
// what lies beneath those, so that they can be deactivated too. The error is
// [thin.ErrNotActive] if the pool is not active.
//
// What is read is the thin device's own only while that stays what it was, which
// [reader.Version.Still] says, and the data lie where they lay, which still says.
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

// stackPieces activates the device. Zeros are the kernel's target of that name, or if the
// kernel has none, memory that nobody has written to.
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
		return nil, nil, fmt.Errorf("memory for what has no data: %w", err)
	}
	defer memory.Close()
	f, done, err = l.stack(ctx, tableOf(pieces, under, &segment{device: memory.Number()}), true)
	l.noZero.Store(err == nil)
	return f, done, err
}

// segment is a part of a pool's data: so many sectors of 512 bytes of a device, from one on.
type segment struct {
	sectors, from uint64
	device        uint64 // as unix.Mkdev makes it
}

// at is a sector of the segment as a linear target has it.
func (s segment) at(sector uint64) string {
	return fmt.Sprintf("%s %d", blockdev.Text(s.device), s.from+sector)
}

// beneath is what a block device consists of: itself, or what it is mapped to if it is a
// linear device of device-mapper.
func (l *Lender) beneath(ctx context.Context, number uint64) ([]segment, error) {
	whole := []segment{{sectors: ^uint64(0), device: number}}
	name, err := nameOf(number)
	if err != nil {
		return whole, nil // not device-mapper's
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

// tableOf is the table of a device of these pieces, over what the pool's data consist of, and
// zeros, nil for the target of that name.
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
