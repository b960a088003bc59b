package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"thintree/thin/pdata"
)

// ReadAt reads as io.ReaderAt does. Unmapped blocks are zeros, or the bytes of the external
// origin. Contiguous data blocks are read at once.
func (d *Device) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	o, released, err := d.use(ctx)
	if err != nil {
		return 0, err
	}
	defer released()
	return d.readRuns(p, off, func(p []byte, off int64) (int, error) { return d.readRun(ctx, o, p, off) })
}

// readRuns calls readRun until p is full. It returns io.EOF at the end of the device.
func (d *Device) readRuns(p []byte, off int64, readRun func(p []byte, off int64) (int, error)) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("device %d: read at %d: %w", d.id, off, syscall.EINVAL)
	}
	if off >= d.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > d.size-off {
		p, end = p[:d.size-off], io.EOF
	}
	done := 0
	for done < len(p) {
		n, err := readRun(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, wrap(d.id, err)
		}
	}
	return done, end
}

// rereads is how often a run is read if its mapping changes each time.
const rereads = 64

// readRun reads from the run that off lies in. That may be less than p.
func (d *Device) readRun(ctx context.Context, o openDevice, p []byte, off int64) (int, error) {
	for range rereads {
		run, length, err := o.run(ctx, o.find, off, int64(len(p)))
		if err != nil {
			return 0, err
		}
		n, err := d.readMapped(ctx, o, p[:length], off, run)
		if o.state.liveBy == "" {
			return n, err
		}
		// The data blocks may have been given to another device during the read.
		same, sameErr := o.tree.Current(ctx, run)
		if sameErr != nil {
			return 0, sameErr
		}
		if same {
			return n, err
		}
	}
	return 0, pdata.ErrChanging
}

// findRun finds a run, as [pdata.Mappings.Run].
type findRun func(ctx context.Context, virtualBlock, maxLength uint64) (pdata.Run, error)

func (o openDevice) find(ctx context.Context, virtualBlock, maxLength uint64) (pdata.Run, error) {
	return o.tree.Run(ctx, virtualBlock, maxLength)
}

// run finds the run that off lies in. The int64 is how many of its bytes are at off and after
// it, at most want.
func (o openDevice) run(ctx context.Context, find findRun, off, want int64) (pdata.Run, int64, error) {
	first, last := off/o.block, (off+want-1)/o.block
	blocks := uint64(last - first + 1)
	run, err := find(ctx, uint64(first), blocks)
	if err != nil || run.Length >= blocks {
		return run, want, err
	}
	return run, int64(run.Length)*o.block - off%o.block, nil
}

// readMapped reads from one run, which p does not exceed. It also reads unmapped runs.
func (d *Device) readMapped(ctx context.Context, o openDevice, p []byte, off int64, run pdata.Run) (int, error) {
	if !run.Mapped {
		return d.readUnmapped(ctx, p, off)
	}
	at := int64(run.Data)*o.block + off%o.block
	size := o.state.data.Size()
	if at >= size {
		return 0, &BeyondDataError{Offset: at, Size: size}
	}
	n, err := o.state.data.ReadAt(ctx, p[:min(int64(len(p)), size-at)], at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && n < len(p) {
		err = &BeyondDataError{Offset: at + int64(n), Size: size}
	}
	return n, err
}

func (d *Device) readUnmapped(ctx context.Context, p []byte, off int64) (int, error) {
	n := 0
	if d.origin != nil && off < d.origin.Size() {
		var err error
		if n, err = d.origin.ReadAt(ctx, p, off); err != nil && !errors.Is(err, io.EOF) {
			return n, fmt.Errorf("external origin: %w", err)
		}
	}
	clear(p[n:])
	return len(p), nil
}
