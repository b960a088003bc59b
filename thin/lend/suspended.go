package lend

import (
	"context"
	"errors"

	"thintree/thin"
	"thintree/thin/block"
)

// Suspended is the name of the pool whose metadata lie at a location, or of a device of an id
// in it, that somebody has suspended: what is read of the device waits until it is resumed.
// It is "" if neither is.
func (l *Lender) Suspended(ctx context.Context, metadata block.Location, id uint32) (device string, err error) {
	p, err := l.kernel.FindPool(ctx, metadata)
	if errors.Is(err, thin.ErrNotActive) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	info, err := l.kernel.DM().Info(ctx, p.Name())
	if err != nil || info.Suspended {
		return info.Name, err
	}
	active, err := p.Active(ctx)
	for _, d := range active {
		if d.ID == id && d.Info.Suspended {
			return d.Name, err
		}
	}
	return "", err
}
