package tree

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

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
	// signs counts the signs that it changed hands or contents: see usage.
	signs int
	// foreign says that the pool is not the one that the source's records are of.
	foreign bool
}

func identityOf(p *pool, record *meta.Volume) identity {
	d := p.devices()[record.DeviceID]
	return identity{
		pool: p, name: record.Name, deviceID: record.DeviceID, sizeBytes: record.SizeBytes, recorded: record.TransactionID,
		transaction: d.TransactionID, creationTime: d.CreationTime, epoch: p.reader.Epoch(),
		signs: p.usage.signs(record.DeviceID), foreign: p.foreign.Load() != nil,
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
	place   place  // in inode numbers
	slots   *slots // the tree's
	slot    uint32
	wide    uint32 // the wide slot + 1, 0 where it has none; guarded by slots.mu
	peeks   peeker
	listing atomic.Pointer[rootListing] // set once

	toldShort atomic.Bool // the log says already that the volume is too short
}

func (r *fsRoot) String() string {
	if r.part == 0 {
		return r.vol.name
	}
	return fmt.Sprintf("%s/p%d", r.vol.name, r.part)
}

// slots gives fsRoots by their slots in node ids. A slot is not used again.
type slots struct {
	mu    sync.RWMutex
	roots []*fsRoot // guarded by mu; nil where the volume is gone
	wide  []*fsRoot // the same by their wide slots
}

// get is the root that a file's node is in, nil where its volume is gone.
func (s *slots) get(id NodeID) *fsRoot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	roots, slot := s.roots, uint64(id&^fileBit)>>slotShift
	if id.isWide() {
		roots, slot = s.wide, uint64(id&^(fileBit|wideBit))>>wideShift
	}
	if slot >= uint64(len(roots)) {
		return nil
	}
	return roots[slot]
}

func (s *slots) add(r *fsRoot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.slots, r.slot = s, uint32(len(s.roots))
	s.roots = append(s.roots, r)
}

// widen is the wide slot of a root, which is given one where it has none.
func (s *slots) widen(r *fsRoot) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.wide != 0:
	case s.roots[r.slot] != r:
		return 0, fmt.Errorf("%s: the volume is gone: %w", r, syscall.ESTALE)
	case len(s.wide) == maxWideSlots:
		return 0, fmt.Errorf("%s: inode numbers above 2^32 in more than %d volumes since the tree was mounted: %w", r, maxWideSlots, syscall.EOVERFLOW)
	default:
		s.wide = append(s.wide, r)
		r.wide = uint32(len(s.wide))
	}
	return r.wide - 1, nil
}

// drop forgets the roots of a volume that is gone.
func (s *slots) drop(v *volume) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(v.root)
	for _, r := range v.parts {
		s.forget(r)
	}
}

// forget forgets a root. mu is held.
func (s *slots) forget(r *fsRoot) {
	s.roots[r.slot] = nil
	if r.wide != 0 {
		s.wide[r.wide-1] = nil
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
	at := v.root.place
	at.part = uint8(part) // probe finds 255 at most
	r := &fsRoot{vol: v, part: part, place: at}
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
