package dmtest

import (
	"maps"

	"golang.org/x/sys/unix"
)

// maxID is the highest id of a thin device.
const maxID = 1<<24 - 1

// metadata is what a pool has on its metadata device: dm-thin-metadata.c.
type metadata struct {
	blockSectors  uint64
	dataBlocks    uint64 // of the data device, that are known
	transactionID uint64
	needsCheck    bool
	time          uint64 // how many snapshots have been made
	thins         map[uint32]*thinMappings
	held          []*thinMappings // in the metadata snapshot, nil: there is none
	users         map[uint64]int  // of each data block, how many mappings to it
	next          uint64          // a data block
}

// thinMappings are a thin device's.
type thinMappings struct {
	blocks      map[uint64]mapping // by its own block
	snapshotted uint64             // when a snapshot was made last
	opens       int                // targets
}

// mapping is to a data block. A block that was mapped before the last snapshot
// counts as shared, whatever has become of the snapshot.
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

// share gives the same mappings again.
func (m *metadata) share(of *thinMappings) *thinMappings {
	for _, to := range of.blocks {
		m.users[to.block]++
	}
	return &thinMappings{blocks: maps.Clone(of.blocks), snapshotted: of.snapshotted}
}

// release is for mappings that are no more.
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

// owns tells whether a device can write in place at one of its blocks.
func (m *metadata) owns(t *thinMappings, at uint64) bool {
	to, ok := t.blocks[at]
	return ok && t.snapshotted <= to.time
}

func (m *metadata) free() uint64 { return m.dataBlocks - uint64(len(m.users)) }

// allocate gives a device a data block of its own. There must be a free one.
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
