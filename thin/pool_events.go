package thin

import (
	"context"
	"iter"
)

// Events yields the pool's status now and after each of its events: the pool reached its low-water
// mark, ran out of space, failed, or was grown. It ends with an error if ctx is done or the pool
// is removed.
func (p *Pool) Events(ctx context.Context) iter.Seq2[PoolStatus, error] {
	return func(yield func(PoolStatus, error) bool) {
		info, err := p.kernel.dm.Info(ctx, p.name)
		for err == nil {
			var s PoolStatus
			if s, err = p.Status(ctx); err != nil || !yield(s, nil) {
				break
			}
			info, err = p.kernel.dm.WaitEvent(ctx, p.name, info.EventNr)
		}
		if err != nil {
			yield(PoolStatus{}, err)
		}
	}
}
