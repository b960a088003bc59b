package volume

import (
	"context"
	"fmt"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/thin/block"
	"thintree/volfs/probe"
)

// extent is a range of a volume, in bytes.
type extent struct{ offset, length int64 }

// extent returns the range of a place in the volume. It looks each step of the place up in the
// partition table at the step before. The place must be a range: see layout.Place.IsRange.
func (c *Contents) extent(ctx context.Context, at layout.Place) (extent, error) {
	if at.IsWhole() {
		return extent{0, c.device.Size()}, nil
	}
	outer, last := at.Last()
	in, err := c.extent(ctx, outer)
	if err != nil {
		return extent{}, err
	}
	p, err := c.partition(ctx, outer, block.Section(c.device, in.offset, in.length), last.Number)
	return extent{in.offset + p.OffsetBytes, p.LengthBytes}, err
}

// partition finds a partition in the table at a place. bytes are those at the place.
func (c *Contents) partition(ctx context.Context, at layout.Place, bytes block.Reader, number int) (probe.Partition, error) {
	found, err := c.tableAt(ctx, at, bytes)
	if err != nil {
		return probe.Partition{}, err
	}
	for _, p := range Partitions(found) {
		if p.Index == number {
			return p, nil
		}
	}
	return probe.Partition{}, fmt.Errorf("no partition %d: %w", number, syscall.ENOENT)
}

// tableAt recognises the partition table at a place. bytes are those at the place.
func (c *Contents) tableAt(ctx context.Context, at layout.Place, bytes block.Reader) (probe.Result, error) {
	if at.IsWhole() {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.found, nil
	}
	return probe.Probe(ctx, bytes)
}

// bytes returns the bytes at a place.
func (c *Contents) bytes(ctx context.Context, at layout.Place) (block.Reader, error) {
	if at.IsRange() {
		if at.IsWhole() {
			return c.device, nil
		}
		lies, err := c.extent(ctx, at)
		if err != nil {
			return nil, err
		}
		return block.Section(c.device, lies.offset, lies.length), nil
	}
	outer, last := at.Last()
	switch last.Kind {
	case layout.StepVolume:
		return c.logical(ctx, at)
	case layout.StepGroup:
		return nil, fmt.Errorf("a volume group has no bytes of its own: %w", syscall.EISDIR)
	}
	in, err := c.bytes(ctx, outer)
	if err != nil {
		return nil, err
	}
	p, err := c.partition(ctx, outer, in, last.Number)
	if err != nil {
		return nil, err
	}
	return block.Section(in, p.OffsetBytes, p.LengthBytes), nil
}

// room is how many of the bytes at a place lie within the volume. They are fewer than the place's
// length if the volume was cut off.
func (c *Contents) room(ctx context.Context, at layout.Place) (int64, error) {
	if !at.IsRange() {
		bytes, err := c.bytes(ctx, at)
		if err != nil {
			return 0, err
		}
		return bytes.Size(), nil
	}
	lies, err := c.extent(ctx, at)
	return max(0, min(lies.length, c.device.Size()-lies.offset)), err
}
