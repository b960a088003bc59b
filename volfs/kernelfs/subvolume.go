package kernelfs

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// A btrfs subvolume counts its inodes anew. Those of the one that the root folder is
// in keep their numbers, below inSubvolume; one in another has the number
//
//	bit 31      1
//	bits 23–30  the slot of the subvolume
//	bits 0–22   its inode number there
//
// or, if that does not fit,
//
//	bit 38      1
//	bits 27–37  the slot of the subvolume, below slots
//	bits 0–26   its inode number there
//
// What does not fit either is EOVERFLOW: 2^27 files made in a subvolume since it is
// there, or more than slots other subvolumes.
const (
	inSubvolume = 1 << 31
	slotShift   = 23

	inWideSubvolume = 1 << 38
	wideSlotShift   = 27

	slots = 1<<11 - 1

	// leftOut is the inode number of the folder that a snapshot has in place of a
	// subvolume in what it was taken of: BTRFS_EMPTY_SUBVOL_DIR_OBJECTID.
	leftOut = 2
)

// subvolumes are those of a btrfs, by their slots. A slot is the same whenever the
// filesystem is opened, as long as no subvolume has been deleted that was older and
// wanted the same.
type subvolumes struct {
	root uint64 // the id of the root folder's
	grow bool   // somebody may make new ones

	mu    sync.Mutex
	ids   [slots]uint64  // 0: free; guarded by mu
	slots map[uint64]int // guarded by mu
}

// subvolumesOf looks at those that there are.
func subvolumesOf(root *os.File, rootHandle unix.FileHandle, grow bool) (*subvolumes, error) {
	s := &subvolumes{root: native.Uint64(rootHandle.Bytes()[8:]), grow: grow, slots: map[uint64]int{}}
	const rootTree, rootItem, firstID, lastID = 1, 132, 256, math.MaxUint64 - 255 // of btrfs_tree.h
	for from := uint64(firstID); from <= lastID; {
		found, err := searchBtrfs(root, rootTree, from, lastID, rootItem)
		if err != nil || found == nil {
			return s, err
		}
		// An error is for who looks into it.
		s.slot(found.id)
		from = found.id + 1
	}
	return s, nil
}

// several reports whether there can be others than the root folder's.
func (s *subvolumes) several() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grow || len(s.slots) > 0
}

// slot is that of a subvolume, which is given one if it has none.
func (s *subvolumes) slot(id uint64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.slots[id]; ok {
		return slot, nil
	}
	const firstID = 256 // the first subvolumes have the low slots, which fit in 32 bits
	for i := range uint64(slots) {
		slot := int((id%slots + slots - firstID + i) % slots)
		if s.ids[slot] == 0 && id != s.root {
			s.ids[slot], s.slots[id] = id, slot
			return slot, nil
		}
	}
	return 0, fmt.Errorf("subvolume %d is one of more than %d: %w", id, slots, unix.EOVERFLOW)
}

// number is the inode number that a handle's file has here.
func (s *subvolumes) number(h unix.FileHandle) (volfs.Ino, error) {
	if h.Size() < minHandles["btrfs"] {
		return 0, unix.EOPNOTSUPP
	}
	ino, id := native.Uint64(h.Bytes()), native.Uint64(h.Bytes()[8:])
	if ino == leftOut {
		return 0, fmt.Errorf("the place of a subvolume that a snapshot leaves out: %w", unix.EOPNOTSUPP)
	}
	if id == s.root && ino < inSubvolume {
		return volfs.Ino(ino), nil
	}
	if id == s.root {
		return 0, fmt.Errorf("inode %d of subvolume %d: %w", ino, id, unix.EOVERFLOW)
	}
	slot, err := s.slot(id)
	if err != nil {
		return 0, err
	}
	number := numberIn(slot, ino)
	if number == unknown {
		return 0, fmt.Errorf("inode %d of subvolume %d: %w", ino, id, unix.EOVERFLOW)
	}
	return number, nil
}

// numberIn is the number of an inode in the subvolume of a slot, unknown if it has none.
func numberIn(slot int, ino uint64) volfs.Ino {
	switch {
	case ino < 1<<slotShift && slot < inSubvolume>>slotShift:
		return volfs.Ino(inSubvolume | uint64(slot)<<slotShift | ino)
	case ino < 1<<wideSlotShift:
		return volfs.Ino(inWideSubvolume | uint64(slot)<<wideSlotShift | ino)
	}
	return unknown
}

// inSlot is what numberIn has made a number of; not ok of an inode in the subvolume of
// the root folder.
func inSlot(number volfs.Ino) (slot int, ino uint64, ok bool) {
	n := uint64(number)
	switch {
	case n >= 2*inWideSubvolume || n < inSubvolume || n >= 2*inSubvolume && n < inWideSubvolume:
		return 0, n, false
	case n >= inWideSubvolume:
		return int(n &^ inWideSubvolume >> wideSlotShift), n & (1<<wideSlotShift - 1), true
	}
	return int(n &^ inSubvolume >> slotShift), n & (1<<slotShift - 1), true
}

// named is the number of a name in an open folder.
func (s *subvolumes) named(dir int, name string) (volfs.Ino, error) {
	h, _, err := unix.NameToHandleAt(dir, name, 0)
	if err != nil {
		return 0, err
	}
	return s.number(h)
}

// beside is the number of an inode in the subvolume of another one, unknown if it has
// none.
func beside(other, ino volfs.Ino) volfs.Ino {
	slot, _, ok := inSlot(other)
	switch {
	case ok:
		return numberIn(slot, uint64(ino))
	case ino < inSubvolume:
		return ino
	}
	return unknown
}

// handle makes the handle of an inode.
func (s *subvolumes) handle(root *os.File, ino volfs.Ino) (unix.FileHandle, error) {
	id := s.root
	slot, inside, ok := inSlot(ino)
	switch {
	case ok && slot < slots:
		s.mu.Lock()
		id = s.ids[slot]
		s.mu.Unlock()
	case ino >= inSubvolume:
		id = 0
	}
	if id == 0 {
		return unix.FileHandle{}, unix.ENOENT
	}
	const inodeItem = 1 // BTRFS_INODE_ITEM_KEY of btrfs_tree.h
	found, err := searchBtrfs(root, id, inside, inside, inodeItem)
	if err != nil {
		return unix.FileHandle{}, err
	}
	if found == nil {
		return unix.FileHandle{}, unix.ENOENT
	}
	b := native.AppendUint64(native.AppendUint64(nil, inside), id)
	// An inode item begins with its generation.
	return unix.NewFileHandle(fileIDBtrfs, native.AppendUint32(b, uint32(found.begin))), nil
}

// btrfsItem is an item of a tree: what it is of, and how it begins.
type btrfsItem struct{ id, begin uint64 }

// searchBtrfs finds the first item of a type in a tree of a btrfs: nil if there is
// none.
func searchBtrfs(root *os.File, tree, firstID, lastID uint64, itemType uint32) (*btrfsItem, error) {
	const (
		treeSearch = 0xD0009411 // BTRFS_IOC_TREE_SEARCH of include/uapi/linux/btrfs.h
		headerLen  = 32         // struct btrfs_ioctl_search_header
		results    = 4096 - 104
	)
	for {
		// struct btrfs_ioctl_search_args
		args := struct {
			treeID                   uint64
			minObjectID, maxObjectID uint64
			minOffset, maxOffset     uint64
			minTransID, maxTransID   uint64
			minType, maxType         uint32
			items                    uint32
			unused                   [9]uint32
			results                  [results]byte
		}{
			treeID: tree, minObjectID: firstID, maxObjectID: lastID,
			maxOffset: math.MaxUint64, maxTransID: math.MaxUint64,
			minType: itemType, maxType: itemType, items: 1,
		}
		if err := ioctl(root, treeSearch, &args); err != nil {
			return nil, os.NewSyscallError("btrfs tree search", err)
		}
		if args.items == 0 {
			return nil, nil
		}
		header := args.results[:headerLen]
		id := native.Uint64(header[8:])
		if native.Uint32(header[24:]) == itemType {
			// The item itself has the disk's order of bytes.
			return &btrfsItem{id, binary.LittleEndian.Uint64(args.results[headerLen:])}, nil
		}
		// Between the first one and the last, every type is found.
		if firstID = id; native.Uint32(header[24:]) > itemType {
			firstID++
		}
		if firstID > lastID || firstID == 0 {
			return nil, nil
		}
	}
}
