package reader

import (
	"context"
	"errors"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// peeks is how often a peek is tried if the live pool changes each time.
const peeks = 2

// Peek calls f to read a few places of a device. open opens the device with a length in bytes,
// without an external origin, until f returns. If the pool is live, the superblock is read once
// after f, not for each place. If the pool has changed meanwhile, or if f took so long that it
// may have, f is called again. If that happens again, f is called with the device as
// [Pool.OpenDevice] opens it. The error is a *[pdata.NoDeviceError] if there is no such device.
func (p *Pool) Peek(ctx context.Context, id uint32, f func(open func(sizeBytes int64) block.Reader) error) error {
	s := p.use()
	defer s.users.Done()
	for try := 0; s.liveBy != "" && try < peeks; try++ {
		view := s.md.View()
		mapping, err := view.Mapping(ctx, id)
		if err == nil {
			err = f(func(sizeBytes int64) block.Reader {
				return peeked{&Device{id: id, size: sizeBytes}, openDevice{state: s, block: s.blockBytes()}, view, mapping}
			})
		}
		if check := view.Check(ctx); check != nil {
			err = check
		}
		if !errors.Is(err, pdata.ErrChanging) {
			return asMissing(id, err)
		}
	}
	o, err := s.device(ctx, id)
	if err != nil {
		return err
	}
	return f(func(sizeBytes int64) block.Reader {
		return &Device{pool: p, id: id, size: sizeBytes, opened: o}
	})
}

// peeked is a device during a peek. Only the id and size of its Device are set.
type peeked struct {
	device  *Device
	o       openDevice
	view    *pdata.View
	mapping pdata.Mapping
}

// run finds runs in the view of the peek.
func (g peeked) run(ctx context.Context, virtualBlock, maxLength uint64) (pdata.Run, error) {
	if err := g.view.CheckInTime(ctx); err != nil {
		return pdata.Run{}, err
	}
	return g.mapping.Run(ctx, virtualBlock, maxLength)
}

func (g peeked) Size() int64 { return g.device.size }

func (g peeked) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return g.device.readRuns(p, off, func(p []byte, off int64) (int, error) {
		run, length, err := g.o.run(ctx, g.run, off, int64(len(p)))
		if err != nil {
			return 0, err
		}
		return g.device.readMapped(ctx, g.o, p[:length], off, run)
	})
}

func (g peeked) NextData(ctx context.Context, off int64) (int64, error) {
	return g.next(ctx, off, true)
}

func (g peeked) NextHole(ctx context.Context, off int64) (int64, error) {
	return g.next(ctx, off, false)
}

func (g peeked) next(ctx context.Context, off int64, data bool) (int64, error) {
	if err := g.device.checkSeek(off); err != nil {
		return 0, err
	}
	return g.device.nextBy(ctx, g.o, g.run, off, data)
}
