package tree

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"thintree/meta"
	"thintree/volfs"
)

// bits draws a number of so many bits: of each length about as often, and often one of
// the highest of that length.
func bits(rt *rapid.T, label string, most int) uint64 {
	end := uint64(1) << rapid.IntRange(0, most).Draw(rt, label+"'s bits")
	if rapid.Bool().Draw(rt, label+" is high") {
		return end - 1 - min(end-1, rapid.Uint64Range(0, 4).Draw(rt, label))
	}
	return rapid.Uint64Range(0, end-1).Draw(rt, label)
}

func drawPlace(rt *rapid.T) place {
	return place{volume: bits(rt, "volume", 30), layer: uint8(bits(rt, "layer", 8)), part: uint8(bits(rt, "part", 8))}
}

func (c *class) end() uint64 { return c.first - 1 + 1<<(c.layer+c.part+c.volume+c.ino) }

func TestClassesFillWhatADoubleHoldsAndDoNotOverlap(t *testing.T) {
	t.Parallel()
	all := append(slices.Clone(classes), class{first: firstView, ino: viewBits})
	slices.SortFunc(all, func(x, y class) int { return cmp.Compare(x.first, y.first) })
	next := uint64(0)
	for _, c := range all {
		if c.first < next || c.first < 1<<53 && c.first != next || c.first < 1<<53 && c.end() >= 1<<53 {
			t.Errorf("%+v begins at %#x, the one before it ends before %#x", c, c.first, next)
		}
		next = c.end() + 1
	}
	if id := viewID(1<<64 - 1); id != 1<<53-1 || id.isFile() {
		t.Errorf("the last node of a view is %#x", uint64(id))
	}
}

// TestInodeNumberTellsItsFile reads a file's place and its number on the disk back from
// its inode number: so no two files can have one.
func TestInodeNumberTellsItsFile(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlace(rt)
		ino := volfs.Ino(bits(rt, "inode number", 41))
		if rapid.IntRange(0, 9).Draw(rt, "beside") == 0 {
			ino = rapid.SampledFrom([]volfs.Ino{rawIno, partsIno, infoIno}).Draw(rt, "what")
		}
		n, ok := p.number(ino)
		if !ok {
			if ino > maxIno || ino < 1<<17-besides {
				rt.Fatalf("%+v: %d has no number", p, ino)
			}
			return
		}
		i := slices.IndexFunc(classes, func(c class) bool { return c.first <= n && n <= c.end() })
		if i < 0 || n < 1<<32 {
			rt.Fatalf("%+v: %d has number %#x", p, ino, n)
		}
		c, rest := classes[i], n-classes[i].first
		cut := func(bits int) (low uint64) {
			low, rest = rest&(1<<bits-1), rest>>bits
			return low
		}
		at := volfs.Ino(cut(c.ino))
		if at >= 1<<c.ino-besides {
			at |= ^volfs.Ino(0) << c.ino
		}
		back := place{volume: cut(c.volume), part: uint8(cut(c.part)), layer: uint8(cut(c.layer))}
		if back != p || at != ino {
			rt.Fatalf("%+v: %d has number %#x, which is %+v: %d", p, ino, n, back, at)
		}
		if float := float64(n); n < 1<<53 && uint64(float) != n {
			rt.Fatalf("%#x is %v as a double", n, float)
		}
	})
}

func TestHighestInodeNumberIsNotThatOfAnImage(t *testing.T) {
	t.Parallel()
	for _, c := range classes {
		p := place{volume: 1<<c.volume - 1, part: 1<<c.part - 1, layer: 1<<c.layer - 1}
		for _, what := range []volfs.Ino{rawIno, partsIno, infoIno} {
			n, _ := p.number(what)
			if other, ok := p.number(what & (1<<c.ino - 1)); ok && other == n {
				t.Errorf("%+v: %#x is a file's inode number, and an image's", p, n)
			}
		}
	}
}

func TestInodeNumbersInPracticeAreExactInADouble(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		place  place
		inodes uint64
		below  uint64 // what the number has to be below
	}{
		{"a device id below 2^20", place{volume: 1<<20 - 1}, 1<<32 - besides, 1 << 53},
		{"any device id", place{volume: 1<<24 - 1}, 1<<27 - besides, 1 << 53},
		{"device 0", place{}, 1<<37 - besides, 1 << 53},
		{"ten sources of 2^20 devices each", place{volume: 10<<20 - 1}, 1<<27 - besides, 1 << 53},
		{"eight sources of any device ids", place{volume: 8<<24 - 1}, 1<<20 - besides, 1 << 53},
		{"a large xfs", place{volume: 1<<10 - 1}, 1<<39 - besides, 1 << 53},
		{"a partition", place{volume: 1<<13 - 1, part: 15}, 1<<32 - besides, 1 << 53},
		{"a large partition", place{volume: 1<<9 - 1, part: 15}, 1<<36 - besides, 1 << 53},
		{"one of several pools", place{volume: 1<<10 - 1, layer: 255}, 1<<30 - besides, 1 << 53},

		{"any device id of 64 sources", place{volume: maxVolume}, 1<<32 - besides, 1 << 63},
		{"a partition of any device id", place{volume: 1<<24 - 1, part: 15}, 1<<32 - besides, 1 << 63},
		{"any partition of one of several pools", place{volume: 1<<12 - 1, layer: 255, part: 255}, 1<<32 - besides, 1 << 63},
		{"an xfs of the largest inode numbers", place{volume: 1<<19 - 1}, 1<<40 - besides, 1 << 63},
		{"a partition with the largest inode numbers", place{volume: 1<<14 - 1, part: 15}, 1<<40 - besides, 1 << 63},
	} {
		for _, ino := range []volfs.Ino{0, 1, volfs.Ino(c.inodes) / 2, volfs.Ino(c.inodes) - 1, rawIno, partsIno, infoIno} {
			if n, ok := c.place.number(ino); !ok || n >= c.below {
				t.Errorf("%s: inode %d has number %#x, %v", c.what, ino, n, ok)
			}
		}
	}
}

func TestInodeNumberOfAFileIsItsDeviceIDAndItsNumber(t *testing.T) {
	t.Parallel()
	if n, ok := (place{volume: 23}).number(130817); !ok || n != 23<<32+130817 {
		t.Errorf("device 23, inode 130817: %d, %v", n, ok)
	}
}

// Names whose links in containers/ want the same inode number.
var sameNumber = []string{"16692736", "22647684"}

func TestLinksThatWantOneInodeNumberDiffer(t *testing.T) {
	t.Parallel()
	a, b := hashOf("containers/"+sameNumber[0]), hashOf("containers/"+sameNumber[1])
	if viewID(a) != viewID(b) {
		t.Fatal("they want different ones")
	}
	numbersOf := func(tree *Tree, names ...string) (list []NodeID) {
		for _, name := range names {
			e, err := tree.Walk(t.Context(), RootID, "containers/"+name, false)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e.ID)
		}
		return list
	}
	container := func(name string) meta.Container {
		return meta.Container{ID: "c" + name, Name: name, Volume: "v"}
	}
	source := func(containers ...meta.Container) *named {
		return &named{name: "docker:/d", cat: meta.Catalog{
			Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("v", linksID)}, Containers: containers,
		}}
	}
	both := []meta.Container{container(sameNumber[0]), container(sameNumber[1])}
	s := source(both...)
	tree := newTree(t, s)
	first := numbersOf(tree, sameNumber...)
	if first[0] == first[1] {
		t.Errorf("both have number %d", first[0])
	}
	if again := numbersOf(newTree(t, source(both[1], both[0])), sameNumber...); !slices.Equal(again, first) {
		t.Errorf("numbers %d, and %d in the next tree", first, again)
	}
	for i, name := range sameNumber {
		t.Run(fmt.Sprintf("the other comes after %s", name), func(t *testing.T) {
			t.Parallel()
			s := source(container(name))
			tree := newTree(t, s)
			alone := numbersOf(tree, name)
			s.change(func(s *named) { s.cat.Containers = both })
			look(t, tree)
			now := numbersOf(tree, sameNumber...)
			if now[i] != alone[0] || now[0] == now[1] {
				t.Errorf("number %d, and %d since the other has come", alone, now)
			}
			s.change(func(s *named) { s.cat.Volumes = append(s.cat.Volumes, volumeRecord("w", zerosID)) })
			look(t, tree)
			if again := numbersOf(tree, sameNumber...); !slices.Equal(again, now) {
				t.Errorf("numbers %d, and %d since something else has come", now, again)
			}
		})
	}
}

func TestLinksInTwoFoldersThatWantOneInodeNumberHaveTheSameInTheNextTree(t *testing.T) {
	t.Parallel()
	const container, image = "5684112", "1610484"
	if viewID(hashOf("containers/"+container)) != viewID(hashOf("images/"+image)) {
		t.Fatal("they want different ones")
	}
	s := &named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("v", linksID)},
		Containers: []meta.Container{{ID: "c", Name: container, Volume: "v"}},
		Images:     []meta.Image{{ID: "i", Names: []string{image}, Volume: "v"}},
	}}
	var first []NodeID
	for range 20 { // the folders come in any order
		tree := newTree(t, s)
		var now []NodeID
		for _, path := range []string{"containers/" + container, "images/" + image} {
			e, err := tree.Walk(t.Context(), RootID, path, false)
			if err != nil {
				t.Fatal(err)
			}
			now = append(now, e.ID)
		}
		if first == nil {
			first = now
		}
		if now[0] == now[1] || !slices.Equal(now, first) {
			t.Fatalf("numbers %d, and %d in another tree", first, now)
		}
	}
}

func TestPoolThatComesLaterLeavesInodeNumbersAsTheyAre(t *testing.T) {
	t.Parallel()
	pools := make([]meta.Pool, 4)
	for i := range pools {
		pools[i] = smallPool(t)
		pools[i].Name = fmt.Sprint("pool", i)
	}
	for _, first := range []int{1, 2, 3} {
		s := &named{name: "lvm:vg", cat: meta.Catalog{Pools: pools[:first]}}
		tree := newTree(t, s)
		before := numbersByPool(t, tree, pools[:first])
		s.change(func(s *named) { s.cat.Pools = []meta.Pool{pools[3], pools[2], pools[1], pools[0]} })
		look(t, tree)
		after := numbersByPool(t, tree, pools)
		if !slices.Equal(after[:first], before) {
			t.Errorf("inode numbers %d of %d pools, and %d since others have come", before, first, after)
		}
		next := numbersByPool(t, newTree(t, s), pools)
		if first == 1 {
			after[0], next[0] = 0, 0 // it was the only one, which the next tree cannot know
		}
		if !slices.Equal(next, after) {
			t.Errorf("inode numbers %d, and %d in the next tree", after, next)
		}
		slices.Sort(after)
		if len(slices.Compact(after)) != len(pools) {
			t.Errorf("of pools of which %d were there first, some share an inode number: %d", first, after)
		}
	}
}

// numbersByPool is the inode number of device 1 of each pool.
func numbersByPool(t *testing.T, tree *Tree, pools []meta.Pool) (list []uint64) {
	t.Helper()
	for _, p := range pools {
		e, err := tree.Walk(t.Context(), RootID, "by-id/"+p.Name+"/1", true)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, uint64(e.Attr.Ino))
	}
	return list
}
