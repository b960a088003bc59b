package dmtest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// PoolState is what a pool keeps on its metadata device.
type PoolState struct {
	// IDs are its thin devices, each with how many data blocks it has.
	IDs           map[uint32]uint64
	TransactionID uint64
	Held          bool // a metadata snapshot is
	NeedsCheck    bool
	BlockSectors  uint64
	// DataBlocks is how long the pool is, UsedBlocks how many are in use.
	DataBlocks, UsedBlocks uint64
}

// Pool tells what is on a metadata device, also while no pool is active. ok is
// false where there is no pool.
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
		Held:          m.held != nil,
		NeedsCheck:    m.needsCheck,
		BlockSectors:  m.blockSectors,
		DataBlocks:    m.dataBlocks,
		UsedBlocks:    uint64(len(m.users)),
	}
	for id, t := range m.thins {
		s.IDs[id] = uint64(len(t.blocks))
	}
	return s, true
}

// SetMode has an active pool change its mode, as it does by itself after a fault.
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

// Write writes to an active thin device, so that it has data blocks from its
// block first on. Its pool has an event at the low water mark, and where it is
// full, which is ENOSPC here whether it would wait or not.
func (k *Kernel) Write(name string, first, blocks uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byName[name]
	if d == nil || d.active == nil {
		return fmt.Errorf("%s: %w", name, unix.ENXIO)
	}
	t, ok := d.active.targets[0].target.(*thinTarget)
	if !ok || (first+blocks-1)*t.pool.metadata.blockSectors >= t.length {
		return fmt.Errorf("%s: %w: no thin device of so many blocks", name, unix.EINVAL)
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
