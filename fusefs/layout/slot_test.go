package layout

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"thintree/volfs"
)

func TestNodeIDsFindTheirFiles(t *testing.T) {
	t.Parallel()
	var s Slots[*Slot]
	roots := make([]*Slot, 5)
	for i := range roots {
		roots[i] = &Slot{address: address{volume: uint64(i + 1)}}
		s.Add(roots[i], roots[i])
	}
	files := make(map[NodeID]string)
	rapid.Check(t, func(rt *rapid.T) {
		r := rapid.SampledFrom(roots).Draw(rt, "root")
		ino := volfs.Ino(bits(rt, "inode number", 40))
		id, err := r.FileID(ino, 2)
		if err != nil {
			if ino < 1<<40-besides {
				rt.Fatal(err)
			}
			return
		}
		want := ino
		if ino == 2 {
			want = 0
		}
		if !id.IsFile() || s.Get(id) != r || id.Ino() != want || id.Ino() > MaxIno {
			rt.Fatalf("inode %d: node %x, which is inode %d", ino, uint64(id), id.Ino())
		}
		file := fmt.Sprint(r.address.volume, want)
		if other, taken := files[id]; taken && other != file {
			rt.Fatalf("node %x is %s and %s", uint64(id), file, other)
		}
		files[id] = file
	})
}

func TestImagesAndInfoHaveNodeIDsThatNoFileHas(t *testing.T) {
	t.Parallel()
	var s Slots[*Slot]
	r := &Slot{address: address{volume: 1}}
	s.Add(r, r)
	for _, ino := range []volfs.Ino{0, RawIno, PartsIno, InfoIno} {
		if id := r.ID(ino); id.Ino() != ino || s.Get(id) != r || id.isWide() {
			t.Errorf("%d: node %x is %d", ino, uint64(id), id.Ino())
		}
	}
	// Files whose inode numbers are these, cut to 32 bits.
	for _, ino := range []volfs.Ino{RawIno, PartsIno, InfoIno} {
		if id, err := r.FileID(volfs.Ino(uint32(ino)), 2); err != nil || id.Ino() != volfs.Ino(uint32(ino)) {
			t.Errorf("inode %d: node %x, %v", uint32(ino), uint64(id), err)
		}
	}
}

func TestGoneVolumeGetsNoWideSlot(t *testing.T) {
	t.Parallel()
	var s Slots[*Slot]
	v, other := &Slot{}, &Slot{}
	s.Add(v, v)
	id, err := v.FileID(1<<32, 2)
	if err != nil || s.Get(id) != v {
		t.Fatal(id, err)
	}
	s.Add(other, other)
	s.Drop(v)
	s.Drop(other)
	if r := s.Get(id); r != nil {
		t.Errorf("node %x is in %v", uint64(id), r)
	}
	if id, err := other.FileID(1<<32, 2); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("node %x, %v", uint64(id), err)
	}
}

func TestInodeNumberThatDoesNotFitIsAnError(t *testing.T) {
	t.Parallel()
	var s Slots[*Slot]
	r := &Slot{address: address{volume: 7}}
	s.Add(r, r)
	for _, ino := range []volfs.Ino{1 << 40, 1 << 63, MaxIno + 1, InfoIno, PartsIno, RawIno} {
		if id, err := r.FileID(ino, 2); !errors.Is(err, syscall.EOVERFLOW) {
			t.Errorf("inode %d: node %x, %v", ino, uint64(id), err)
		}
	}
}
