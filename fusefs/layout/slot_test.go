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
		ino := volfs.Ino(bits(rt, "inode number", 63))
		id, err := r.FileID(ino, 2)
		if err != nil {
			rt.Fatal(err)
		}
		want := ino
		if ino == 2 {
			want = 0
		}
		if !id.IsFile() || s.Get(id) != r || r.Ino(id) != want {
			rt.Fatalf("inode %d: node %x, which is inode %d", ino, uint64(id), r.Ino(id))
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
		if id := r.ID(ino); r.Ino(id) != ino || s.Get(id) != r {
			t.Errorf("%d: node %x is %d", ino, uint64(id), r.Ino(id))
		}
	}
	// Files whose inode numbers are these, cut to fewer bits.
	for _, what := range []volfs.Ino{RawIno, PartsIno, InfoIno} {
		for bits := 32; bits < 64; bits++ {
			ino := what & (1<<bits - 1)
			if id, err := r.FileID(ino, 2); err != nil || r.Ino(id) != ino {
				t.Errorf("inode %d: node %x, %v", ino, uint64(id), err)
			}
		}
	}
}

func TestGoneVolumeGetsNoWindow(t *testing.T) {
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

func TestInodeNumberOfAnImageIsAnError(t *testing.T) {
	t.Parallel()
	var s Slots[*Slot]
	r := &Slot{address: address{volume: 7}}
	s.Add(r, r)
	for _, ino := range []volfs.Ino{InfoIno, PartsIno, RawIno} {
		if id, err := r.FileID(ino, 2); !errors.Is(err, syscall.EOVERFLOW) {
			t.Errorf("inode %d: node %x, %v", ino, uint64(id), err)
		}
	}
}

func TestHashThatTwoFilesHaveIsAnError(t *testing.T) {
	t.Parallel()
	var s Slots[*Slot]
	first, second := &Slot{address: address{volume: 1}}, &Slot{address: address{volume: 2}}
	s.Add(first, first)
	s.Add(second, second)
	const ino = 1 << 60
	n, isHash := first.address.number(ino)
	if !isHash {
		t.Fatalf("inode %d has the number %#x", uint64(ino), n)
	}
	for range 2 {
		if id, err := first.FileID(ino, 2); err != nil || first.InodeNumber(id) != n {
			t.Errorf("%#x, %v", uint64(id), err)
		}
	}
	if err := s.claim(n, hashedFile{second, 5}); !errors.Is(err, syscall.EOVERFLOW) {
		t.Errorf("another file has the same number: %v", err)
	}
	s.Drop(first)
	if err := s.claim(n, hashedFile{second, 5}); err != nil {
		t.Errorf("the number of a file of a volume that is gone: %v", err)
	}
	if _, err := first.FileID(ino, 2); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("a file of a volume that is gone: %v", err)
	}
}
