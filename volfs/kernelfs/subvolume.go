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

// Each btrfs subvolume numbers its inodes itself. The inodes of the root folder's subvolume
// keep their numbers, which are below inSubvolume. An inode of another one has the number
//
//	bit 31      1
//	bits 23–30  the slot of the subvolume
//	bits 0–22   its inode number there
//
// or, if that does not fit,
//
//	bit 38      1
//	bits 27–37  the slot of the subvolume
//	bits 0–26   its inode number there
//
// or, if that does not fit either,
//
//	bit 63      1
//	bits 48–62  the slot of the subvolume; slots is that of the root folder's
//	bits 0–47   its inode number there
//
// Other inodes are EOVERFLOW: after 2^48 files were made in a subvolume, or in more than
// slots other subvolumes.
const (
	inSubvolume = 1 << 31
	slotShift   = 23

	inWideSubvolume = 1 << 38
	wideSlotShift   = 27

	inWidestSubvolume = 1 << 63
	widestSlotShift   = 48

	slots = 1<<15 - 2

	// wideSlots are the slots that are given first, to keep numbers low.
	wideSlots = 1<<11 - 1

	// leftOut is the inode number of the empty folder that a snapshot has in place of a
	// subvolume of its origin: BTRFS_EMPTY_SUBVOL_DIR_OBJECTID.
	leftOut = 2
)

// subvolumes are the subvolumes of a btrfs, by slot. A subvolume has the same slot each
// time that the filesystem is opened, unless an older one with the same preferred slot is
// deleted meanwhile.
type subvolumes struct {
	root uint64 // the id of the root folder's subvolume
	grow bool   // the owner can make new ones

	mu    sync.Mutex
	ids   map[int]uint64 // by slot; guarded by mu
	slots map[uint64]int // by id; guarded by mu
}

// subvolumesOf reads the list of subvolumes.
func subvolumesOf(root *os.File, rootHandle unix.FileHandle, grow bool) (*subvolumes, error) {
	s := &subvolumes{root: native.Uint64(rootHandle.Bytes()[8:]), grow: grow, ids: map[int]uint64{}, slots: map[uint64]int{}}
	const rootTree, rootItem, firstID, lastID = 1, 132, 256, math.MaxUint64 - 255 // of btrfs_tree.h
	for from := uint64(firstID); from <= lastID; {
		found, err := searchBtrfs(root, rootTree, from, lastID, rootItem)
		if err != nil || found == nil {
			return s, err
		}
		// number returns the error for inodes of this subvolume.
		s.slot(found.id)
		from = found.id + 1
	}
	return s, nil
}

// several reports whether there are or can be subvolumes besides the root folder's.
func (s *subvolumes) several() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grow || len(s.slots) > 0
}

// slot returns the slot of a subvolume. It assigns one at the first call.
func (s *subvolumes) slot(id uint64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.slots[id]; ok {
		return slot, nil
	}
	if id == s.root || len(s.slots) == slots {
		return 0, fmt.Errorf("subvolume %d is one of more than %d: %w", id, slots, unix.EOVERFLOW)
	}
	slot := len(s.slots) // free if all wideSlots are taken, because slots are never given back
	if slot < wideSlots {
		const firstID = 256 // the first subvolumes get the low slots, which need 32 bits
		for slot = int((id%wideSlots + wideSlots - firstID) % wideSlots); s.ids[slot] != 0; {
			slot = (slot + 1) % wideSlots
		}
	}
	s.ids[slot], s.slots[id] = id, slot
	return slot, nil
}

// number returns the inode number of the file with a handle.
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
	slot := slots
	if id != s.root {
		var err error
		if slot, err = s.slot(id); err != nil {
			return 0, err
		}
	}
	number := numberIn(slot, ino)
	if number == unknown {
		return 0, fmt.Errorf("inode %d of subvolume %d: %w", ino, id, unix.EOVERFLOW)
	}
	return number, nil
}

// numberIn returns the number of an inode in the subvolume of a slot, unknown if it has
// none.
func numberIn(slot int, ino uint64) volfs.Ino {
	switch {
	case ino < 1<<slotShift && slot < inSubvolume>>slotShift:
		return volfs.Ino(inSubvolume | uint64(slot)<<slotShift | ino)
	case ino < 1<<wideSlotShift && slot < inWideSubvolume>>wideSlotShift:
		return volfs.Ino(inWideSubvolume | uint64(slot)<<wideSlotShift | ino)
	case ino < 1<<widestSlotShift:
		return volfs.Ino(inWidestSubvolume | uint64(slot)<<widestSlotShift | ino)
	}
	return unknown
}

// inSlot is the inverse of numberIn. ok is false for an inode of the root folder's subvolume that
// keeps its number, and for a number that numberIn does not return.
func inSlot(number volfs.Ino) (slot int, ino uint64, ok bool) {
	n := uint64(number)
	switch {
	case n >= inWidestSubvolume:
		slot, ino = int(n&^inWidestSubvolume>>widestSlotShift), n&(1<<widestSlotShift-1)
	case n >= inWideSubvolume:
		slot, ino = int(n&^inWideSubvolume>>wideSlotShift), n&(1<<wideSlotShift-1)
	case n >= inSubvolume:
		slot, ino = int(n&^inSubvolume>>slotShift), n&(1<<slotShift-1)
	default:
		return 0, n, false
	}
	return slot, ino, numberIn(slot, ino) == number
}

// named returns the number of a name in an open folder.
func (s *subvolumes) named(dir int, name string) (volfs.Ino, error) {
	h, _, err := unix.NameToHandleAt(dir, name, 0)
	if err != nil {
		return 0, err
	}
	return s.number(h)
}

// beside returns the number of an inode in the same subvolume as other, unknown if it has
// none.
func beside(other, ino volfs.Ino) volfs.Ino {
	slot, _, ok := inSlot(other)
	switch {
	case ok && slot < slots:
		return numberIn(slot, uint64(ino))
	case ino < inSubvolume:
		return ino
	}
	return numberIn(slots, uint64(ino))
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
	case ok && slot == slots: // a high inode of the root folder's subvolume
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

// btrfsItem is an item of a tree: its object id, and its first 8 bytes.
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
			// The item itself is little-endian, as on the disk.
			return &btrfsItem{id, binary.LittleEndian.Uint64(args.results[headerLen:])}, nil
		}
		// The search returns items of other types between the first and the last id.
		if firstID = id; native.Uint32(header[24:]) > itemType {
			firstID++
		}
		if firstID > lastID || firstID == 0 {
			return nil, nil
		}
	}
}
