package lend

import (
	"context"
	"errors"
	"os"
	"sync"

	"thintree/thin"
	"thintree/thin/dm"
)

// Lender lends devices of all pools. Its methods may be called concurrently, but
// for Close.
type Lender struct {
	kernel *thin.Kernel
	owner  func() (string, error) // this process

	mu     sync.Mutex
	states map[string]*state // by the path of a pool's metadata; guarded by mu
}

// New makes one over a Kernel, which it closes.
func New(k *thin.Kernel) *Lender {
	return &Lender{kernel: k, owner: sync.OnceValues(Owner), states: map[string]*state{}}
}

// Close closes it. What is lent stays with its users.
func (l *Lender) Close() error { return l.kernel.Close() }

// Lend activates a device of a pool, by the paths of the pool's metadata and data,
// and opens it. A pool that nobody has active is activated for it. Its caches are
// its own: what somebody writes to the device meanwhile, through another
// activation, need not be seen; [Lender.User] tells whether there is one.
func (l *Lender) Lend(ctx context.Context, metadata, data string, id uint32, sizeBytes int64) (*os.File, error) {
	s := l.state(metadata)
	p, err := l.pool(ctx, s, metadata)
	if err == nil {
		return l.lendOf(ctx, p, id, sizeBytes)
	}
	if !errors.Is(err, thin.ErrNotActive) {
		return nil, err
	}
	s.activating.Lock()
	defer s.activating.Unlock()
	if p, err = l.kernel.FindPool(ctx, metadata); errors.Is(err, thin.ErrNotActive) {
		var opened *os.File
		if p, opened, err = l.lendPool(ctx, metadata, data); err == nil {
			defer opened.Close() // the device holds it
		}
	}
	if err != nil {
		return nil, err
	}
	return l.lendOf(ctx, p, id, sizeBytes)
}

func (l *Lender) lendOf(ctx context.Context, p *thin.Pool, id uint32, sizeBytes int64) (*os.File, error) {
	d, err := named(l.owner, func(name, uuid string) (thin.Device, error) {
		return p.ActivateDevice(ctx, thin.Activation{
			Name: name, UUID: uuid, ID: id, SizeBytes: sizeBytes, ReadOnly: true, Udev: dm.Hidden,
		})
	})
	if err != nil {
		return nil, err
	}
	return l.leave(ctx, d.Name, d.Number)
}

// lendPool activates a pool, which goes when the file is closed and no device of
// it is active.
func (l *Lender) lendPool(ctx context.Context, metadata, data string) (*thin.Pool, *os.File, error) {
	p, err := named(l.owner, func(name, uuid string) (*thin.Pool, error) {
		return l.kernel.ActivatePool(ctx, thin.PoolConfig{
			Name: name, UUID: uuid, Metadata: metadata, Data: data, Features: thin.Features{ReadOnly: true},
		})
	})
	if err != nil {
		return nil, nil, err
	}
	info, err := l.kernel.DM().Info(ctx, p.Name())
	if err != nil {
		return nil, nil, err
	}
	f, err := l.leave(ctx, p.Name(), info.Number)
	return p, f, err
}

// stack activates a table over devices that were lent, and opens it. It holds
// them.
func (l *Lender) stack(ctx context.Context, t dm.Target, readOnly bool) (*os.File, error) {
	info, err := named(l.owner, func(name, uuid string) (dm.Info, error) {
		return l.kernel.DM().Activate(ctx, dm.Spec{
			Name: name, UUID: uuid, Table: []dm.Target{t}, ReadOnly: readOnly, Udev: dm.Hidden,
		})
	})
	if err != nil {
		return nil, err
	}
	return l.leave(ctx, info.Name, info.Number)
}

// leave opens an active device, and has it go with its last user.
func (l *Lender) leave(ctx context.Context, name string, number uint64) (*os.File, error) {
	f, err := os.Open(dm.NodePath(number))
	// Where it could not be opened it goes now.
	_, removeErr := l.kernel.DM().Remove(context.WithoutCancel(ctx), name, true, dm.Hidden)
	if err := errors.Join(err, removeErr); err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return f, nil
}
