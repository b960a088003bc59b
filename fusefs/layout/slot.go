package layout

import (
	"fmt"
	"sync"
	"syscall"

	"thintree/volfs"
)

// Slot makes the node ids and inode numbers of one filesystem: that of a whole volume, or that at
// a place in one.
type Slot struct {
	name    string // for errors
	address address
	table   widener // the Slots that it was added to
	number  uint32  // its number in node ids
	wide    uint32  // its wide slot + 1, 0 if it has none; guarded by the table's lock
}

// widener gives wide slots to filesystems with high inode numbers.
type widener interface {
	widen(s *Slot) (wide uint32, err error)
}

// At makes a slot for a place in the volume of s.
func (s *Slot) At(volume string, p Place) *Slot {
	at := s.address
	outer, number := p.Last()
	at.part = number
	if !outer.IsWhole() {
		at.part = unnumbered
	}
	return &Slot{name: p.Below(volume), address: at}
}

// ID is the node id of the filesystem's root (0), of the nodes RawIno, PartsIno and InfoIno, or of
// a file whose inode number is below 1<<32-3.
func (s *Slot) ID(ino volfs.Ino) NodeID {
	return fileBit | NodeID(s.number)<<slotShift | NodeID(uint32(ino))
}

// FileID is the node id of an inode. root is the inode number of the filesystem's root. In node
// ids the root has the inode number 0, so it has an id before the filesystem is read. The error is
// EOVERFLOW if the tree has no inode number for the inode.
func (s *Slot) FileID(ino, root volfs.Ino) (NodeID, error) {
	if ino == root {
		return s.ID(0), nil
	}
	if _, ok := s.address.number(ino); !ok || ino >= 1<<wideShift {
		return 0, fmt.Errorf("%s: inode number %d is too high to be shown: %w", s.name, ino, syscall.EOVERFLOW)
	}
	if ino < 1<<slotShift-besides {
		return s.ID(ino), nil
	}
	wide, err := s.table.widen(s)
	return fileBit | wideBit | NodeID(wide)<<wideShift | NodeID(ino), err
}

// InodeNumber is the inode number in the tree of a node of the filesystem.
func (s *Slot) InodeNumber(id NodeID) uint64 {
	n, _ := s.address.number(id.Ino()) // FileID has checked that there is one
	return n
}

// Slots finds filesystems by their slots in node ids. The number of a slot is never used again.
// The methods may be called concurrently.
type Slots[T any] struct {
	mu   sync.RWMutex
	all  []slotted[T] // by number; guarded by mu
	wide []slotted[T] // by wide slot; guarded by mu
}

// slotted is a slot with its filesystem; zero after Drop.
type slotted[T any] struct {
	slot *Slot
	of   T
}

// Get returns the filesystem of a node. It returns the zero T if the filesystem was dropped, or if
// the node is in none.
func (t *Slots[T]) Get(id NodeID) T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list, number := t.all, uint64(id&^fileBit)>>slotShift
	if id.isWide() {
		list, number = t.wide, uint64(id&^(fileBit|wideBit))>>wideShift
	}
	if number >= uint64(len(list)) {
		return *new(T)
	}
	return list[number].of
}

// Add gives a slot its number.
func (t *Slots[T]) Add(s *Slot, of T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.table, s.number = t, uint32(len(t.all))
	t.all = append(t.all, slotted[T]{s, of})
}

// Drop removes a slot: Get no longer finds its filesystem.
func (t *Slots[T]) Drop(s *Slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[s.number] = slotted[T]{}
	if s.wide != 0 {
		t.wide[s.wide-1] = slotted[T]{}
	}
}

// widen returns the wide slot of s. It gives s one first if s has none.
func (t *Slots[T]) widen(s *Slot) (wide uint32, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch at := t.all[s.number]; {
	case s.wide != 0:
	case at.slot != s:
		return 0, fmt.Errorf("%s: the volume is gone: %w", s.name, syscall.ESTALE)
	case len(t.wide) == maxWideSlots:
		return 0, fmt.Errorf("%s: inode numbers above 2^32 in more than %d volumes since the tree was mounted: %w", s.name, maxWideSlots, syscall.EOVERFLOW)
	default:
		t.wide = append(t.wide, at)
		s.wide = uint32(len(t.wide))
	}
	return s.wide - 1, nil
}
