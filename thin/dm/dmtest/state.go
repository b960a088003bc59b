package dmtest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// PoolState is the content of a pool's metadata device.
type PoolState struct {
	// IDs are the numbers of mapped blocks of the pool's thin devices, by device id.
	IDs           map[uint32]uint64
	TransactionID uint64
	NeedsCheck    bool
	UsedBlocks    uint64 // data blocks in use
}

// Pool returns the content of a metadata device, whether or not its pool is active. ok is
// false if there is no pool on it.
func (k *Kernel) Pool(metadataNumber uint64) (s PoolState, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.metadata[metadataNumber]
	if m == nil {
		return PoolState{}, false
	}
	s = PoolState{
		IDs:           map[uint32]uint64{},
		TransactionID: m.transactionID,
		NeedsCheck:    m.needsCheck,
		UsedBlocks:    uint64(len(m.users)),
	}
	for id, t := range m.thins {
		s.IDs[id] = uint64(len(t.blocks))
	}
	return s, true
}

// SetMode changes the mode of an active pool, as the kernel does after a fault.
func (k *Kernel) SetMode(pool string, mode Mode) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byName[pool]
	if d == nil || d.active == nil {
		return fmt.Errorf("%s: %w", pool, unix.ENXIO)
	}
	t, ok := d.active.targets[0].target.(*poolTarget)
	if !ok {
		return fmt.Errorf("%s: %w: no pool", pool, unix.EINVAL)
	}
	k.setMode(t.pool, mode)
	return nil
}

// Write writes to a range of an active thin device's blocks, so that they are mapped. The
// pool has an event at the low water mark, and another when it is full. A write to a full
// pool returns ENOSPC, also if the kernel would let it wait for space.
func (k *Kernel) Write(name string, first, blocks uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byName[name]
	if d == nil || d.active == nil {
		return fmt.Errorf("%s: %w", name, unix.ENXIO)
	}
	t, ok := d.active.targets[0].target.(*thinTarget)
	if !ok || (first+blocks-1)*t.pool.metadata.blockSectors >= t.length {
		return fmt.Errorf("%s: %w: not a thin device with these blocks", name, unix.EINVAL)
	}
	p := t.pool
	switch {
	case d.suspended || d.beneath:
		return fmt.Errorf("%s: %w: it is suspended", name, unix.EAGAIN)
	case d.readOnly:
		return fmt.Errorf("%s: %w", name, unix.EPERM)
	case p.mode == Failed || p.bound == nil:
		return fmt.Errorf("%s: %w: its pool is %s", name, unix.EIO, p.mode)
	}
	for b := first; b < first+blocks; b++ {
		if p.metadata.owns(t.mapped, b) {
			continue
		}
		if p.mode == ReadOnly {
			return fmt.Errorf("%s: %w: its pool is %s", name, unix.EIO, p.mode)
		}
		if p.metadata.free() <= p.bound.lowWater && !p.lowWater {
			p.lowWater = true
			k.notify(p.owner)
		}
		if p.metadata.free() == 0 {
			k.setMode(p, OutOfDataSpace)
			return fmt.Errorf("%s: %w", name, unix.ENOSPC)
		}
		p.metadata.allocate(t.mapped, b)
	}
	return nil
}
