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
	identity

	// newest is what its source says of it now.
	newest atomic.Pointer[meta.Volume]
	root   *fsRoot     // of the volume as a whole
	gone   atomic.Bool // it is in no view any more

	mu    sync.Mutex
	parts map[int]*fsRoot // of its partitions, by number; guarded by mu
}

// identity tells a volume from another one that has its name or its device id
// at another time.
type identity struct {
	pool      *pool
	name      string
	deviceID  uint32
	sizeBytes int64
	// recorded is the pool's transaction id when the volume was made, as its
	// source has it; transaction and creationTime are the pool's own, 0 where it
	// has no such id.
	recorded     uint64
	transaction  uint64
	creationTime uint32
	// epoch is the pool's: see thin.PoolReader.Epoch.
	epoch int
	// activations counts how often somebody else has activated it.
	activations int
	// foreign says that the pool is not the one that the source's records are of.
	foreign bool
}

func identityOf(p *pool, record *meta.Volume) identity {
	d := p.devices()[record.DeviceID]
	return identity{
		pool: p, name: record.Name, deviceID: record.DeviceID, sizeBytes: record.SizeBytes, recorded: record.TransactionID,
		transaction: d.TransactionID, creationTime: d.CreationTime, epoch: p.reader.Epoch(),
		activations: p.usage.activations(record.DeviceID), foreign: p.foreign.Load() != nil,
	}
}

// record is what its source says of the volume.
func (v *volume) record() *meta.Volume { return v.newest.Load() }

// deleted reports whether its owner has deleted the volume, and the pool may still have
// it: what is left there is nobody's.
func (v *volume) deleted() bool { return v.record().State == meta.StateDeleted }

// fsRoot is where a filesystem may begin: a volume, or a partition of one.
type fsRoot struct {
	vol     *volume
	part    int    // the partition's number, 0 for the whole volume
	slot    uint32 // in Tree.slots
	number  uint32 // in inode numbers
	peeks   peeker
	listing atomic.Pointer[rootListing] // set once

	toldShort atomic.Bool // the log has it that the volume is too short
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
	// hashed are the numbers of partitions that are taken; guarded by mu
	hashed map[uint32]bool
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
	for r.number&hashedNumber != 0 && s.hashed[r.number] {
		r.number = (r.number + 1) | hashedNumber
	}
	if r.number&hashedNumber != 0 {
		if s.hashed == nil {
			s.hashed = make(map[uint32]bool)
		}
		s.hashed[r.number] = true
	}
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
	delete(s.hashed, v.root.number)
	for _, r := range v.parts {
		s.roots[r.slot] = nil
		delete(s.hashed, r.number)
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
	r := &fsRoot{vol: v, part: part, number: hashedNumberOf(v.pool.index, v.deviceID, fmt.Sprintf("%s/p%d", v.name, part))}
	t.slots.add(r)
	if v.parts == nil {
		v.parts = make(map[int]*fsRoot)
	}
	v.parts[part] = r
	return r
}

// mayHavePartitions is false of what container engines make: there is a
// filesystem on the whole of it, and nobody needs to look.
func (v *volume) mayHavePartitions() bool { return v.record().Role == meta.RoleVolume }
