package dmtest

import (
	"maps"

	"golang.org/x/sys/unix"
)

// maxID is the highest id of a thin device.
const maxID = 1<<24 - 1

// metadata is the content of a pool's metadata device, as in dm-thin-metadata.c.
type metadata struct {
	blockSectors  uint64
	dataBlocks    uint64 // how long the pool knows the data device to be
	transactionID uint64
	needsCheck    bool
	time          uint64 // the number of snapshots made so far
	thins         map[uint32]*thinMappings
	held          []*thinMappings // the metadata snapshot, nil if there is none
	users         map[uint64]int  // the number of mappings to each data block in use
	next          uint64          // the data block to try next
}

// thinMappings are the mappings of a thin device.
type thinMappings struct {
	blocks      map[uint64]mapping // by the device's block number
	snapshotted uint64             // the time of the last snapshot
	opens       int                // the number of targets that use it
}

// mapping maps to a data block. A block that was mapped before the last snapshot counts as
// shared, even if the snapshot is deleted.
type mapping struct{ block, time uint64 }

func newMetadata(blockSectors uint64) *metadata {
	return &metadata{blockSectors: blockSectors, thins: map[uint32]*thinMappings{}, users: map[uint64]int{}}
}

func (m *metadata) createThin(id uint32) error {
	if m.thins[id] != nil {
		return unix.EEXIST
	}
	m.thins[id] = &thinMappings{blocks: map[uint64]mapping{}}
	return nil
}

func (m *metadata) createSnap(id, origin uint32) error {
	if m.thins[id] != nil {
		return unix.EEXIST
	}
	of := m.thins[origin]
	if of == nil {
		return unix.ENODATA
	}
	m.time++
	of.snapshotted = m.time
	m.thins[id] = m.share(of)
	return nil
}

// share returns a copy of mappings to the same data blocks.
func (m *metadata) share(of *thinMappings) *thinMappings {
	for _, to := range of.blocks {
		m.users[to.block]++
	}
	return &thinMappings{blocks: maps.Clone(of.blocks), snapshotted: of.snapshotted}
}

// release drops the uses of mappings that are deleted.
func (m *metadata) release(t *thinMappings) {
	for _, to := range t.blocks {
		m.unmap(to.block)
	}
}

func (m *metadata) unmap(block uint64) {
	if m.users[block]--; m.users[block] == 0 {
		delete(m.users, block)
	}
}

func (m *metadata) delete(id uint32) error {
	t := m.thins[id]
	switch {
	case t == nil:
		return unix.ENODATA
	case t.opens > 0:
		return unix.EBUSY
	}
	m.release(t)
	delete(m.thins, id)
	return nil
}

func (m *metadata) reserveSnap() error {
	if m.held != nil {
		return unix.EBUSY
	}
	m.held = []*thinMappings{}
	for _, t := range m.thins {
		m.held = append(m.held, m.share(t))
	}
	return nil
}

func (m *metadata) releaseSnap() error {
	if m.held == nil {
		return unix.EINVAL
	}
	for _, t := range m.held {
		m.release(t)
	}
	m.held = nil
	return nil
}

func (m *metadata) setTransactionID(from, to uint64) error {
	if m.transactionID != from {
		return unix.EINVAL
	}
	m.transactionID = to
	return nil
}

// owns reports whether a device can overwrite one of its blocks in place.
func (m *metadata) owns(t *thinMappings, at uint64) bool {
	to, ok := t.blocks[at]
	return ok && t.snapshotted <= to.time
}

func (m *metadata) free() uint64 { return m.dataBlocks - uint64(len(m.users)) }

// allocate maps a device's block to a free data block. The caller has checked that there is
// one.
func (m *metadata) allocate(t *thinMappings, at uint64) {
	for m.users[m.next] > 0 || m.next >= m.dataBlocks {
		if m.next++; m.next >= m.dataBlocks {
			m.next = 0
		}
	}
	if old, ok := t.blocks[at]; ok {
		m.unmap(old.block)
	}
	m.users[m.next]++
	t.blocks[at] = mapping{m.next, m.time}
}
