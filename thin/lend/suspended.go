package lend

import (
	"context"
	"errors"

	"thintree/thin"
	"thintree/thin/block"
)

// Suspended returns the name of the pool with these metadata if it is suspended, or the name
// of its device with this id if that is. Reads of the device wait until it is resumed.
// The name is "" if neither is suspended, or if the pool is not active.
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
