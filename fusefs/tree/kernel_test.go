package tree

import (
	"context"
	"sync"
	"syscall"

	"thintree/fusefs/volume"
	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/lend"
)

// kernel is a volume.Kernel with the users that a test sets. It lends nothing.
type kernel struct {
	volume.Kernel
	mu    sync.Mutex
	users map[uint32]lend.User // nil if the pool is not active
}

func (k *kernel) IsTemporary(block.Location, uint32, uint64) bool { return false }

func (k *kernel) Users(context.Context, block.Location) (map[uint32]lend.User, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.users == nil {
		return nil, thin.ErrNotActive
	}
	return k.users, nil
}

func (*kernel) Watch(ctx context.Context, _ func(bool)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (*kernel) Lend(context.Context, lend.Request) (*lend.Loan, error) {
	return nil, syscall.EOPNOTSUPP
}

func (*kernel) Lent(context.Context, block.Location, uint32) ([]*lend.Loan, error) { return nil, nil }
