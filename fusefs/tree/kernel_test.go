package tree

import (
	"context"
	"os"
	"sync"
	"syscall"

	"thintree/fusefs/volume"
	"thintree/thin"
	"thintree/thin/lend"
	"thintree/thin/reader"
)

// kernel is a kernel in which a pool is active or not, and its devices are used as
// a test says. It lends nothing.
type kernel struct {
	volume.Kernel
	mu    sync.Mutex
	users map[uint32]lend.User // nil if the pool is not active
}

func (k *kernel) Users(context.Context, string) (map[uint32]lend.User, error) {
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

func (*kernel) Lend(context.Context, string, string, uint32, int64) (*os.File, func() error, error) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (*kernel) LendPieces(context.Context, string, []reader.Piece) (*os.File, func() error, func(context.Context) error, error) {
	return nil, nil, nil, syscall.EOPNOTSUPP
}

func (*kernel) LendSnapshot(context.Context, string, uint32, int64) (*os.File, func() error, error) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (*kernel) Lent(context.Context, string, uint32) ([]string, error) { return nil, nil }
func (*kernel) Sweep(context.Context) error                            { return nil }
func (*kernel) Close() error                                           { return nil }
