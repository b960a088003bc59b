package lend

import (
	"context"
	"errors"
	"fmt"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/dm"
)

// Halves are the block devices that the metadata and data of an active pool lie on. device is the
// name of the pool's device-mapper device. The error is [thin.ErrNotActive] if no pool has it.
func (l *Lender) Halves(ctx context.Context, device string) (metadata, data block.Location, err error) {
	p, err := l.kernel.OpenPool(ctx, device)
	if errors.Is(err, dm.ErrNotFound) {
		return metadata, data, fmt.Errorf("%s: %w", device, thin.ErrNotActive)
	}
	if err != nil {
		return metadata, data, err
	}
	layout, err := p.Layout(ctx)
	return block.At(layout.Metadata), block.At(layout.Data), err
}
