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
// partition table at the step before.
func (c *Contents) extent(ctx context.Context, at layout.Place) (extent, error) {
	if at.IsWhole() {
		return extent{0, c.device.Size()}, nil
	}
	outer, number := at.Last()
	in, err := c.extent(ctx, outer)
	if err != nil {
		return extent{}, err
	}
	found, err := c.tableAt(ctx, outer, in)
	if err != nil {
		return extent{}, err
	}
	for _, p := range Partitions(found) {
		if p.Index == number {
			return extent{in.offset + p.OffsetBytes, p.LengthBytes}, nil
		}
	}
	return extent{}, fmt.Errorf("no partition %d: %w", number, syscall.ENOENT)
}

// tableAt recognises the partition table at a place, which lies in the range lies.
func (c *Contents) tableAt(ctx context.Context, at layout.Place, lies extent) (probe.Result, error) {
	if at.IsWhole() {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.found, nil
	}
	return probe.Probe(ctx, block.Section(c.device, lies.offset, lies.length))
}

// bytes returns the bytes at a place.
func (c *Contents) bytes(ctx context.Context, at layout.Place) (block.Reader, error) {
	if at.IsWhole() {
		return c.device, nil
	}
	lies, err := c.extent(ctx, at)
	if err != nil {
		return nil, err
	}
	return block.Section(c.device, lies.offset, lies.length), nil
}

// room is how many bytes of a place lie within the volume. They are fewer than the place's
// length if the volume was cut off.
func (c *Contents) room(ctx context.Context, at layout.Place) (int64, error) {
	lies, err := c.extent(ctx, at)
	return max(0, min(lies.length, c.device.Size()-lies.offset)), err
}
