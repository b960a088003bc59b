package thin

import (
	"context"
	"errors"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// glimpses is how often a live pool may change under one.
const glimpses = 2

// Glimpse calls f with what opens a device, of a length in bytes, to read a few places
// of it, until f returns. Of a live pool the superblock is read once then, not for each
// place; where that tells that the pool has changed, or f stood still for so long that it
// may have, f is called again, and at last with the device as [PoolReader.OpenDevice]
// opens it. No device has an external origin.
func (p *PoolReader) Glimpse(ctx context.Context, id uint32, f func(open func(sizeBytes int64) block.Reader) error) error {
	s := p.use()
	defer s.users.Done()
	for try := 0; s.liveBy != "" && try < glimpses; try++ {
		o := openDevice{state: s, block: s.blockBytes()}
		err := s.md.Glimpse(ctx, id, func(run func(virtualBlock, maxLength uint64) (pdata.Run, error)) error {
			return f(func(sizeBytes int64) block.Reader {
				return glimpsed{&DeviceReader{id: id, size: sizeBytes}, o, func(_ context.Context, first, most uint64) (pdata.Run, error) {
					return run(first, most)
				}}
			})
		})
		switch {
		case errors.Is(err, pdata.ErrNoDevice):
			return &NoDeviceError{ID: id}
		case !errors.Is(err, pdata.ErrChanging):
			return err
		}
	}
	o, err := s.device(ctx, id)
	if err != nil {
		return err
	}
	return f(func(sizeBytes int64) block.Reader {
		return &DeviceReader{pool: p, id: id, size: sizeBytes, opened: o}
	})
}

// glimpsed is a device during a glimpse. Of the device itself it has but what it is.
type glimpsed struct {
	device *DeviceReader
	o      openDevice
	find   findRun
}

func (g glimpsed) Size() int64 { return g.device.size }

func (g glimpsed) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return g.device.readRuns(p, off, func(p []byte, off int64) (int, error) {
		run, length, err := g.o.run(ctx, g.find, off, int64(len(p)))
		if err != nil {
			return 0, err
		}
		return g.device.readMapped(ctx, g.o, p[:length], off, run)
	})
}

func (g glimpsed) NextData(ctx context.Context, off int64) (int64, error) {
	return g.next(ctx, off, true)
}
func (g glimpsed) NextHole(ctx context.Context, off int64) (int64, error) {
	return g.next(ctx, off, false)
}

func (g glimpsed) next(ctx context.Context, off int64, data bool) (int64, error) {
	if err := g.device.checkSeek(off); err != nil {
		return 0, err
	}
	return g.device.nextBy(ctx, g.o, g.find, off, data)
}
