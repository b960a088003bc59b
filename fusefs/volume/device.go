package volume

import (
	"context"
	"sync"

	"thintree/thin/block"
)

// device is a volume that is open for reading.
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

// openDevice opens a thin device. It reads unmapped blocks from the volume's external origin.
func (p *Pool) openDevice(ctx context.Context, v *Volume, sizeBytes int64) (device, error) {
	origin, err := v.openOrigin(ctx)
	if err != nil {
		return nil, err
	}
	if origin == nil {
		return p.reader.OpenDevice(ctx, v.deviceID, sizeBytes, nil)
	}
	d, err := p.reader.OpenDevice(ctx, v.deviceID, sizeBytes, origin)
	if err != nil {
		origin.Close()
		return nil, err
	}
	return withOrigin{d, origin}, nil
}

// read calls f with a function that opens a thin device for a moment: see reader.Pool.Peek.
func (p *Pool) read(ctx context.Context, v *Volume, f func(open func(sizeBytes int64) (device, error)) error) error {
	if v.Record().ExternalOrigin != "" {
		return f(func(sizeBytes int64) (device, error) { return p.openDevice(ctx, v, sizeBytes) })
	}
	return p.reader.Peek(ctx, v.deviceID, func(open func(int64) block.Reader) error {
		return f(func(sizeBytes int64) (device, error) {
			return block.Keep(open(sizeBytes), pieceBytes(p.reader.Live())), nil
		})
	})
}

// pieceBytes is how much a peek reads at once. If the volume is live, each piece is read from the
// disk and not from the page cache.
func pieceBytes(live bool) int64 {
	if live {
		return 64 << 10
	}
	return 8 << 10
}

func (p *Pool) leastBytes(ctx context.Context, v *Volume) (int64, error) {
	return p.reader.MappedBytes(ctx, v.deviceID)
}

func (p *Pool) changing(v *Volume) bool {
	return p.live() && p.usage.changing(v.deviceID, v.signs)
}

func (p *Pool) when(*Volume) int64 { return p.When() }

func (p *Pool) mayStall() bool { return p.live() }

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
