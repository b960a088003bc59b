package thin

import (
	"context"
	"errors"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// Glimpse calls f with what opens a device, of a length in bytes, to read a few places
// of it, until f returns. Of a live pool all that f has read is of one moment, as far
// as the pool's metadata tell: f is called again where they have changed meanwhile. So
// it reads the superblock once, not for each place. No device has an external origin.
func (p *PoolReader) Glimpse(ctx context.Context, id uint32, f func(open func(sizeBytes int64) block.Reader) error) error {
	s := p.use()
	defer s.users.Done()
	o, err := s.device(ctx, id)
	if err != nil {
		return err
	}
	device := func(sizeBytes int64) *DeviceReader {
		return &DeviceReader{pool: p, id: id, size: sizeBytes, opened: o}
	}
	if s.liveBy == "" {
		return f(func(sizeBytes int64) block.Reader { return device(sizeBytes) })
	}
	err = o.tree.Glimpse(ctx, func(run func(virtualBlock, maxLength uint64) (pdata.Run, error)) error {
		return f(func(sizeBytes int64) block.Reader { return glimpsed{device(sizeBytes), o, run} })
	})
	if errors.Is(err, pdata.ErrNoDevice) {
		return &NoDeviceError{ID: id}
	}
	return err
}

// glimpsed is a device during a glimpse.
type glimpsed struct {
	*DeviceReader
	o   openDevice
	run func(virtualBlock, maxLength uint64) (pdata.Run, error)
}

func (g glimpsed) ReadAt(p []byte, off int64) (int, error) {
	return g.readRuns(p, off, func(p []byte, off int64) (int, error) {
		run, length, err := g.o.run(g.run, off, int64(len(p)))
		if err != nil {
			return 0, err
		}
		return g.readMapped(g.o, p[:length], off, run)
	})
}
