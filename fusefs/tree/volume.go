package tree

import (
	"fmt"
	"sync"
	"sync/atomic"

	"thintree/meta"
)

// volume is a thin device with a name, as long as it exists: a device id that
// was given to somebody else since is another volume.
type volume struct {
	name string // its path in volumes/
	identity

	root *fsRoot     // of the volume as a whole
	gone atomic.Bool // it is in no view any more

	mu    sync.Mutex
	parts map[int]*fsRoot // of its partitions, by number; guarded by mu
}

// identity tells a volume from another one that has its name or its device id
// at another time.
type identity struct {
	pool   *pool
	record meta.Volume
	// When the pool made the device: 0 where it has no such id.
	transaction  uint64
	creationTime uint32
}

func identityOf(p *pool, record meta.Volume) identity {
	d := p.devices()[record.DeviceID]
	return identity{pool: p, record: record, transaction: d.TransactionID, creationTime: d.CreationTime}
}

// fsRoot is where a filesystem may begin: a volume, or a partition of one.
type fsRoot struct {
	vol    *volume
	part   int    // the partition's number, 0 for the whole volume
	slot   uint32 // in Tree.slots
	number uint32 // in inode numbers
	peeks  peeker
}

func (r *fsRoot) String() string {
	if r.part == 0 {
		return r.vol.name
	}
	return fmt.Sprintf("%s/p%d", r.vol.name, r.part)
}

// slots gives fsRoots by their number. Numbers are not used again.
type slots struct {
	mu    sync.RWMutex
	roots []*fsRoot // guarded by mu; nil where the volume is gone
}

func (s *slots) get(slot uint32) *fsRoot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if int64(slot) >= int64(len(s.roots)) {
		return nil
	}
	return s.roots[slot]
}

func (s *slots) add(r *fsRoot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.slot = uint32(len(s.roots))
	s.roots = append(s.roots, r)
}

// drop forgets the roots of a volume that is gone.
func (s *slots) drop(v *volume) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roots[v.root.slot] = nil
	for _, r := range v.parts {
		s.roots[r.slot] = nil
	}
}

// partition is the root of a partition, which is given a slot when it is first
// asked for.
func (t *Tree) partition(v *volume, part int) *fsRoot {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.parts[part]; r != nil {
		return r
	}
	r := &fsRoot{vol: v, part: part, number: rootNumber(false, v.pool.name, v.record.DeviceID, part)}
	t.slots.add(r)
	if v.parts == nil {
		v.parts = make(map[int]*fsRoot)
	}
	v.parts[part] = r
	return r
}

// mayHavePartitions is false of what container engines make: there is a
// filesystem on the whole of it, and nobody needs to look.
func (v *volume) mayHavePartitions() bool { return v.record.Role == meta.RoleVolume }
