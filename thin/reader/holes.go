package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"syscall"

	"thintree/thin/pdata"
)

// NextData is the lowest offset ≥ off in a mapped block, or in data of the external origin. The
// error is io.EOF if there is none. Damaged mappings count as data, so that reading them returns
// the error.
func (d *Device) NextData(ctx context.Context, off int64) (int64, error) {
	return d.next(ctx, off, true)
}

// NextHole is the lowest offset ≥ off that is not mapped and is not data of the external
// origin. The end of the device counts as a hole.
func (d *Device) NextHole(ctx context.Context, off int64) (int64, error) {
	return d.next(ctx, off, false)
}

func (d *Device) next(ctx context.Context, off int64, data bool) (int64, error) {
	if err := d.checkSeek(off); err != nil {
		return 0, err
	}
	o, released, err := d.use(ctx)
	if err != nil {
		return 0, err
	}
	defer released()
	return d.nextBy(ctx, o, o.find, off, data)
}

func (d *Device) checkSeek(off int64) error {
	switch {
	case off < 0:
		return fmt.Errorf("device %d: seek to %d: %w", d.id, off, syscall.EINVAL)
	case off >= d.size:
		return io.EOF
	}
	return nil
}

// nextBy is next with a function that finds runs.
func (d *Device) nextBy(ctx context.Context, o openDevice, find findRun, off int64, data bool) (int64, error) {
	// Try the first block alone: it is often the answer, and finding a long run takes time.
	want := o.block - off%o.block
	for off < d.size {
		mapped, length, err := o.extent(ctx, find, off, min(want, d.size-off))
		if err != nil {
			return 0, wrap(d.id, err)
		}
		at, err := d.nextIn(ctx, off, mapped, data)
		if err != nil {
			return 0, wrap(d.id, err)
		}
		if at < off+length {
			return at, nil
		}
		off += length
		want = d.size
	}
	if data {
		return 0, io.EOF
	}
	return d.size, nil
}

// extent reports whether the block at off is mapped or damaged. length is how many bytes from
// off on are the same, at most want.
func (o openDevice) extent(ctx context.Context, find findRun, off, want int64) (mapped bool, length int64, err error) {
	run, length, err := o.run(ctx, find, off, want)
	var damage *pdata.DamageError
	if errors.As(err, &damage) && damage.Tree == pdata.TreeMappings {
		return true, min(want, int64(damage.KeyEnd)*o.block-off), nil
	}
	return run.Mapped, length, err
}

// nextIn is the next data or hole from off on, assuming that all later blocks are mapped as the
// one at off. It is math.MaxInt64 if there is none.
func (d *Device) nextIn(ctx context.Context, off int64, mapped, data bool) (int64, error) {
	switch {
	case !mapped && d.origin != nil:
		return d.nextInOrigin(ctx, off, data)
	case mapped == data:
		return off, nil
	}
	return math.MaxInt64, nil
}

// nextInOrigin is the next data or hole of the external origin. Beyond its end is only a hole.
func (d *Device) nextInOrigin(ctx context.Context, off int64, data bool) (int64, error) {
	seek := d.origin.NextHole
	if data {
		seek = d.origin.NextData
	}
	at, err := seek(ctx, off)
	switch {
	case err == nil:
		return at, nil
	case !errors.Is(err, io.EOF):
		return 0, fmt.Errorf("external origin: %w", err)
	case data:
		return math.MaxInt64, nil
	}
	return off, nil
}
