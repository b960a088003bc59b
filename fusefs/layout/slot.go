package layout

import (
	"fmt"
	"maps"
	"sync"
	"syscall"

	"thintree/volfs"
)

// Slot makes the node ids and inode numbers of one filesystem: that of a whole volume, or that at
// a place in one.
type Slot struct {
	address address
	number  uint32 // its number in node ids
	table   table  // the Slots that it was added to
	name    string // for errors
}

// table is Slots of any type.
type table interface {
	window(s *Slot, high uint32) (number uint32, err error)
	high(number uint32) uint32
	claim(n uint64, f hashedFile) error
}

// hashedFile is a file whose inode number in the tree is a hash.
type hashedFile struct {
	slot *Slot
	ino  volfs.Ino
}

// At makes a slot for a place in the volume of s.
func (s *Slot) At(volume string, p Place) *Slot {
	at := s.address
	if outer, last := p.Last(); outer.IsWhole() && last.Kind == StepPartition {
		at.part = last.Number
	} else {
		at.place = p
	}
	return &Slot{name: p.Below(volume), address: at}
}

// ID is the node id of the filesystem's root (0), of the nodes RawIno, PartsIno and InfoIno, or of
// a file whose inode number is below 1<<32-3.
func (s *Slot) ID(ino volfs.Ino) NodeID { return nodeID(s.number, uint32(ino)) }

func nodeID(slot, low uint32) NodeID { return fileBit | NodeID(slot)<<slotShift | NodeID(low) }

// FileID is the node id of an inode. root is the inode number of the filesystem's root. In node
// ids the root has the inode number 0, so it has an id before the filesystem is read.
//
// The error is EOVERFLOW if the inode number is one of the three highest of 64 bits, or if its
// inode number in the tree is a hash that another file has already. It is ESTALE if the volume is
// gone.
func (s *Slot) FileID(ino, root volfs.Ino) (NodeID, error) {
	if ino == root {
		return s.ID(0), nil
	}
	if ino > MaxIno {
		return 0, fmt.Errorf("%s: inode number %d is too high to be shown: %w", s.name, ino, syscall.EOVERFLOW)
	}
	if n, isHash := s.address.number(ino); isHash {
		if err := s.table.claim(n, hashedFile{s, ino}); err != nil {
			return 0, err
		}
	}
	if ino < 1<<slotShift-besides {
		return s.ID(ino), nil
	}
	window, err := s.table.window(s, uint32(ino>>slotShift))
	return nodeID(window, uint32(ino)), err
}

// Ino is the inode number in the filesystem of one of its nodes: 0 for the root, or one above MaxIno
// for the nodes beside the filesystem.
func (s *Slot) Ino(id NodeID) volfs.Ino {
	low := uint32(id)
	if slot := id.slot(); slot != s.number {
		return volfs.Ino(s.table.high(slot))<<slotShift | volfs.Ino(low)
	}
	if low >= 1<<slotShift-besides {
		return volfs.Ino(int32(low)) // sign-extended to one of the numbers above MaxIno
	}
	return volfs.Ino(low)
}

// InodeNumber is the inode number in the tree of a node of the filesystem.
func (s *Slot) InodeNumber(id NodeID) uint64 {
	return s.inodeNumber(s.Ino(id))
}

func (s *Slot) inodeNumber(ino volfs.Ino) uint64 {
	n, _ := s.address.number(ino)
	return n
}

// Slots finds filesystems by their slots in node ids. The number of a slot is never used again.
// The methods may be called concurrently.
type Slots[T any] struct {
	mu      sync.RWMutex
	all     []slotted[T]                // by number; guarded by mu
	places  map[uint64]*Slot            // by address.spread; guarded by mu
	windows map[*Slot]map[uint32]uint32 // their slots, by the upper bits; guarded by mu
	hashed  map[uint64]hashedFile       // by their inode numbers in the tree; guarded by mu
}

// slotted is a slot with its filesystem; zero after Drop.
type slotted[T any] struct {
	slot *Slot
	of   T
	high uint32 // the upper bits of the inode numbers, if it is the slot of a window
}

// Get returns the filesystem of a node. It returns the zero T if the filesystem was dropped, or if
// the node is in none.
func (t *Slots[T]) Get(id NodeID) T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if number := uint64(id.slot()); id.IsFile() && number < uint64(len(t.all)) {
		return t.all[number].of
	}
	return *new(T)
}

// Add gives a slot its number.
func (t *Slots[T]) Add(s *Slot, of T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.address.place.IsWhole() {
		t.spread(s)
	}
	s.table, s.number = t, uint32(len(t.all))
	t.all = append(t.all, slotted[T]{slot: s, of: of})
}

// spread gives a slot a part of the inode numbers for places, unless another slot has it. Called with
// mu held.
func (t *Slots[T]) spread(s *Slot) {
	hash := s.address.hash("") & (1<<spreadBits - 1)
	if t.places == nil {
		t.places = make(map[uint64]*Slot)
	}
	if t.places[hash] == nil {
		t.places[hash] = s
		s.address.spread = hash + 1
	}
}

// Drop removes a slot: Get no longer finds its filesystem.
func (t *Slots[T]) Drop(s *Slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[s.number] = slotted[T]{}
	for _, number := range t.windows[s] {
		t.all[number] = slotted[T]{}
	}
	delete(t.windows, s)
	if n := s.address.spread; n > 0 {
		delete(t.places, n-1)
	}
	maps.DeleteFunc(t.hashed, func(_ uint64, f hashedFile) bool { return f.slot == s })
}

// window returns the slot of the window of s that has the inode numbers with these upper bits. It
// makes the window if there is none.
func (t *Slots[T]) window(s *Slot, high uint32) (number uint32, err error) {
	t.mu.RLock()
	number, ok := t.windows[s][high]
	t.mu.RUnlock()
	if ok {
		return number, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, ok := t.windows[s][high]; ok {
		return number, nil
	}
	at := t.all[s.number]
	if at.slot != s {
		return 0, fmt.Errorf("%s: the volume is gone: %w", s.name, syscall.ESTALE)
	}
	if len(t.all) == maxSlots {
		return 0, fmt.Errorf("%s: the tree has no node id left for inode numbers above 2^32: %w", s.name, syscall.EOVERFLOW)
	}
	if t.windows == nil {
		t.windows = make(map[*Slot]map[uint32]uint32)
	}
	if t.windows[s] == nil {
		t.windows[s] = make(map[uint32]uint32)
	}
	number = uint32(len(t.all))
	t.windows[s][high] = number
	t.all = append(t.all, slotted[T]{slot: s, of: at.of, high: high})
	return number, nil
}

// high is the upper bits of the inode numbers in a window.
func (t *Slots[T]) high(number uint32) uint32 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.all[number].high
}

// claim records which file has a hash as its inode number. The error is EOVERFLOW if another file
// has it.
func (t *Slots[T]) claim(n uint64, f hashedFile) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch other, taken := t.hashed[n]; {
	case t.all[f.slot.number].slot != f.slot:
		return fmt.Errorf("%s: the volume is gone: %w", f.slot.name, syscall.ESTALE)
	case taken && other != f:
		return fmt.Errorf("%s: inode %d would have the inode number %d in the tree, as inode %d of %s has: %w", f.slot.name, f.ino, n, other.ino, other.slot.name, syscall.EOVERFLOW)
	case !taken && t.hashed == nil:
		t.hashed = make(map[uint64]hashedFile)
	}
	t.hashed[n] = f
	return nil
}
