package volume

import (
	"context"
	"sync"

	"thintree/thin/block"
)

// device is a thin device that is open for reading.
type device interface {
	block.Reader
	Close() error
}

// laterDevice is a device of a known length that is opened at the first read. It is never
// opened if the kernel reads the volume.
type laterDevice struct {
	bytes int64
	open  func(context.Context) (device, error)

	mu      sync.Mutex
	opening *flight[device] // nil before the first open, and after one that failed; guarded by mu
}

func (v *Volume) laterDevice(bytes int64) *laterDevice {
	return &laterDevice{bytes: bytes, open: func(ctx context.Context) (device, error) { return v.openDevice(ctx, bytes) }}
}

func (v *Volume) openDevice(ctx context.Context, sizeBytes int64) (device, error) {
	if err := v.misfit(); err != nil {
		return nil, err
	}
	return v.Pool.reader.OpenDevice(ctx, v.deviceID, sizeBytes, nil)
}

// peek calls f with a function that opens the device for a moment: see reader.Pool.Peek.
func (v *Volume) peek(ctx context.Context, f func(open func(sizeBytes int64) (device, error)) error) error {
	if err := v.misfit(); err != nil {
		return err
	}
	return v.read(ctx, f)
}

// read is peek without the check that the device is the volume's own.
func (v *Volume) read(ctx context.Context, f func(open func(sizeBytes int64) (device, error)) error) error {
	pieceBytes := int64(8 << 10)
	if v.Pool.reader.Live() { // each piece is read from the disk, not from the page cache
		pieceBytes = 64 << 10
	}
	return v.Pool.reader.Peek(ctx, v.deviceID, func(open func(int64) block.Reader) error {
		return f(func(sizeBytes int64) (device, error) { return block.Keep(open(sizeBytes), pieceBytes), nil })
	})
}

// now returns the device. It opens the device first if it is not open.
func (d *laterDevice) now(ctx context.Context) (device, error) {
	d.mu.Lock()
	f := d.opening
	if f == nil {
		f = fly(ctx, d.open)
		d.opening = f
	}
	d.mu.Unlock()
	opened, err := f.wait(ctx)
	if f.failed() {
		d.mu.Lock()
		if d.opening == f {
			d.opening = nil
		}
		d.mu.Unlock()
	}
	return opened, err
}

func (d *laterDevice) Size() int64 { return d.bytes }

func (d *laterDevice) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	now, err := d.now(ctx)
	if err != nil {
		return 0, err
	}
	return now.ReadAt(ctx, p, off)
}

func (d *laterDevice) NextData(ctx context.Context, off int64) (int64, error) {
	now, err := d.now(ctx)
	if err != nil {
		return 0, err
	}
	return now.NextData(ctx, off)
}

func (d *laterDevice) NextHole(ctx context.Context, off int64) (int64, error) {
	now, err := d.now(ctx)
	if err != nil {
		return 0, err
	}
	return now.NextHole(ctx, off)
}

func (d *laterDevice) Close() error {
	d.mu.Lock()
	f := d.opening
	d.mu.Unlock()
	if f == nil {
		return nil
	}
	if <-f.done; f.err != nil {
		return nil
	}
	return f.value.Close()
}
