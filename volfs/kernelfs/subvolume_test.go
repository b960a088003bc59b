package kernelfs

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"thintree/volfs"
)

func TestNumbersOfSubvolumesAreTurnedBackIntoInodes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		slot := rapid.IntRange(0, 1<<rapid.IntRange(0, 15).Draw(rt, "bits of the slot")-1).Draw(rt, "slot")
		slot = min(slot, slots) // slots is that of the root folder's subvolume
		ino := rapid.Uint64Range(0, 1<<rapid.IntRange(1, 49).Draw(rt, "bits")-1).Draw(rt, "inode")
		number := numberIn(slot, ino)
		if number == unknown {
			if ino < 1<<widestSlotShift {
				rt.Fatal("it has no number")
			}
			return
		}
		if s, i, ok := inSlot(number); !ok || s != slot || i != ino || number > 1<<64-4 {
			rt.Fatalf("number %#x is inode %d in slot %d, %v", uint64(number), i, s, ok)
		}
		if ino < 1<<slotShift && slot <= 255 && number >= 1<<32 {
			rt.Fatalf("number %#x is higher than it has to be", uint64(number))
		}
		if ino < 1<<wideSlotShift && slot < 1<<11 && number >= 1<<39 {
			rt.Fatalf("number %#x is higher than it has to be", uint64(number))
		}
		if slot == slots && ino < inSubvolume {
			return // it keeps its number
		}
		if again := beside(numberIn(slot, 7), volfs.Ino(ino)); again != number {
			rt.Fatalf("number %#x beside another inode", uint64(again))
		}
	})
}

func TestAnInodeWithoutANumberIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ other, ino volfs.Ino }{
		{numberIn(3, 256), 1 << widestSlotShift},
		{256, 1 << widestSlotShift},
	} {
		if n := beside(c.other, c.ino); n != unknown {
			t.Errorf("inode %d beside %#x has number %#x", c.ino, uint64(c.other), uint64(n))
		}
	}
	s := &subvolumes{root: 5, ids: map[int]uint64{}, slots: map[uint64]int{}}
	for _, ino := range []volfs.Ino{numberIn(3, 256), 1 << 33, 2 * inWideSubvolume, numberIn(3, 1<<40), unknown} {
		if _, err := s.handle(nil, ino); !errors.Is(err, unix.ENOENT) {
			t.Errorf("number %#x: %v", uint64(ino), err)
		}
	}
}

func TestEachSubvolumeHasItsOwnSlot(t *testing.T) {
	t.Parallel()
	s := &subvolumes{root: 5, ids: map[int]uint64{}, slots: map[uint64]int{}}
	taken := make(map[int]uint64)
	for i := range uint64(slots) {
		id := 256 + 3*i
		slot, err := s.slot(id)
		if i < wideSlots && slot >= wideSlots {
			t.Fatalf("subvolume %d has slot %d, although lower ones are free", id, slot)
		}
		if other, ok := taken[slot]; err != nil || ok || slot < 0 || slot >= slots {
			t.Fatalf("subvolume %d has slot %d, as %d has: %v", id, slot, other, err)
		}
		taken[slot] = id
	}
	if slot, err := s.slot(1 << 40); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("one more has slot %d, %v", slot, err)
	}
	if first := s.slots[256]; first != 0 {
		t.Errorf("the first subvolume has slot %d", first)
	}
}

func TestHighInodeOfTheRootFoldersSubvolumeHasANumber(t *testing.T) {
	t.Parallel()
	s := &subvolumes{root: 5, ids: map[int]uint64{}, slots: map[uint64]int{}}
	for _, ino := range []uint64{257, inSubvolume - 1, inSubvolume, inSubvolume + 300, 1 << 38, 1<<48 - 1} {
		number, err := s.number(unix.NewFileHandle(fileIDBtrfs, append(native.AppendUint64(native.AppendUint64(nil, ino), s.root), 0, 0, 0, 0)))
		if err != nil || number == unknown || ino < inSubvolume && number != volfs.Ino(ino) {
			t.Errorf("inode %d has number %#x, %v", ino, uint64(number), err)
		}
		if again := beside(number, volfs.Ino(ino)); again != number {
			t.Errorf("inode %d has number %#x, and %#x beside itself", ino, uint64(number), uint64(again))
		}
		if slot, inside, ok := inSlot(number); inside != ino || ok && slot != slots {
			t.Errorf("number %#x is inode %d in slot %d, %v", uint64(number), inside, slot, ok)
		}
	}
}
