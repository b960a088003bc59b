package lend

import (
	"context"
	"errors"

	"thintree/thin"
)

// Suspended is the name of a pool, by the path of its metadata, or of a device of an id in
// it, that somebody has suspended: what is read of the device waits until it is resumed. It
// is "" if nothing is.
func (l *Lender) Suspended(ctx context.Context, metadata string, id uint32) (device string, err error) {
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
