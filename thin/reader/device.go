package reader

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// Device is a thin device that is read in this process. Its methods may be called concurrently,
// except Close. Offsets and lengths are in bytes.
type Device struct {
	pool   *Pool
	id     uint32
	size   int64
	origin block.Reader // external, or nil

	mu     sync.Mutex
	opened openDevice // in the pool's state that was last used; guarded by mu
}

// openDevice is a device of one poolState.
type openDevice struct {
	state   *poolState
	tree    *pdata.Mappings
	details pdata.DeviceDetails
	block   int64 // the length of a data block, in bytes
}

// OpenDevice opens a device of the pool for reading. sizeBytes is the device's length in bytes,
// which the pool does not store. If origin is not nil, it is the device's external origin:
// unmapped blocks are read from there, and are zeros beyond its end. The error is a
// *[pdata.NoDeviceError] if there is no such device.
func (p *Pool) OpenDevice(ctx context.Context, id uint32, sizeBytes int64, origin block.Reader) (*Device, error) {
	s := p.use()
	defer s.users.Done()
	o, err := s.device(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Device{pool: p, id: id, size: sizeBytes, origin: origin, opened: o}, nil
}

func (s *poolState) device(ctx context.Context, id uint32) (openDevice, error) {
	tree, err := s.md.Mappings(ctx, id)
	if err != nil {
		return openDevice{}, wrap(id, err)
	}
	// If the details are damaged, a later device of the same id is not recognised.
	details, err := s.md.Device(ctx, id)
	if err != nil && !errors.As(err, new(*pdata.DamageError)) {
		return openDevice{}, wrap(id, err)
	}
	return openDevice{state: s, tree: tree, details: details, block: s.blockBytes()}, nil
}

// sameAs reports whether it is the same device as old, as far as its details can be read.
func (o openDevice) sameAs(old openDevice) bool {
	return o.block == old.block && (!o.details.InDetails || !old.details.InDetails ||
		o.details.TransactionID == old.details.TransactionID && o.details.CreationTime == old.details.CreationTime)
}

// use returns the device in the pool's present state. The caller is a user of the state until it
// calls done.
func (d *Device) use(ctx context.Context) (o openDevice, done func(), err error) {
	s := d.pool.use()
	d.mu.Lock()
	o = d.opened
	d.mu.Unlock()
	if o.state == s {
		return o, s.users.Done, nil
	}
	now, err := s.device(ctx, d.id)
	if err == nil && !now.sameAs(o) {
		err = &pdata.NoDeviceError{ID: d.id}
	}
	if err != nil {
		s.users.Done()
		return o, nil, err
	}
	d.mu.Lock()
	d.opened = now
	d.mu.Unlock()
	return now, s.users.Done, nil
}

// wrap adds the device to an error.
func wrap(id uint32, err error) error {
	if errors.Is(err, pdata.ErrNoDevice) {
		return asMissing(id, err)
	}
	return fmt.Errorf("device %d: %w", id, err)
}

// asMissing replaces an ErrNoDevice by a *[pdata.NoDeviceError]. It returns other errors as they
// are.
func asMissing(id uint32, err error) error {
	if errors.Is(err, pdata.ErrNoDevice) {
		return &pdata.NoDeviceError{ID: id}
	}
	return err
}

// MappedBytes is the least possible length of a device: the end of its highest mapped block, in
// bytes. It is 0 if no block is mapped.
func (p *Pool) MappedBytes(ctx context.Context, id uint32) (int64, error) {
	s := p.use()
	defer s.users.Done()
	o, err := s.device(ctx, id)
	if err != nil {
		return 0, err
	}
	highest, ok, err := o.tree.Highest(ctx)
	if err != nil {
		return 0, wrap(id, err)
	}
	if !ok {
		return 0, nil
	}
	return int64(highest+1) * o.block, nil
}

// Close does nothing: a Device keeps nothing open between calls.
func (d *Device) Close() error { return nil }

// Size is the device's length in bytes.
func (d *Device) Size() int64 { return d.size }
