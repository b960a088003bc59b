package layout

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"thintree/volfs"
)

// bits draws a number of at most so many bits. Each length is about as likely as any other, and
// the highest numbers of a length are more likely than the rest.
func bits(rt *rapid.T, label string, most int) uint64 {
	end := uint64(1) << rapid.IntRange(0, most).Draw(rt, label+"'s bits")
	if rapid.Bool().Draw(rt, label+" is high") {
		return end - 1 - min(end-1, rapid.Uint64Range(0, 4).Draw(rt, label))
	}
	return rapid.Uint64Range(0, end-1).Draw(rt, label)
}

func drawAddress(rt *rapid.T) address {
	return address{volume: bits(rt, "volume", 30), layer: uint8(bits(rt, "layer", 8)), part: int(bits(rt, "part", 8))}
}

func (c *class) end() uint64 { return c.first - 1 + 1<<(c.layer+c.part+c.volume+c.ino) }

func TestClassesFillTheIntegersOfADoubleAndDoNotOverlap(t *testing.T) {
	t.Parallel()
	all := append(slices.Clone(classes), class{first: firstView, ino: viewBits}, class{first: firstHashed, ino: hashedBits}, class{first: firstSpread, ino: spreadBits + spreadInos})
	slices.SortFunc(all, func(x, y class) int { return cmp.Compare(x.first, y.first) })
	next := uint64(0)
	for _, c := range all {
		if c.first < next || c.first < 1<<53 && c.first != next || c.first < 1<<53 && c.end() >= 1<<53 {
			t.Errorf("%+v begins at %#x, the one before it ends before %#x", c, c.first, next)
		}
		next = c.end() + 1
	}
	if id := viewID(1<<64 - 1); id != 1<<53-1 || id.IsFile() {
		t.Errorf("the last node of a view is %#x", uint64(id))
	}
}

// TestInodeNumberIdentifiesItsFile computes the address of a file and its number on the disk from
// its inode number. So no two files can have the same inode number.
func TestInodeNumberIdentifiesItsFile(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := drawAddress(rt)
		ino := volfs.Ino(bits(rt, "inode number", 42))
		if rapid.IntRange(0, 9).Draw(rt, "beside") == 0 {
			ino = rapid.SampledFrom([]volfs.Ino{RawIno, PartsIno, InfoIno}).Draw(rt, "what")
		}
		n, isHash := p.number(ino)
		if isHash {
			if ino > MaxIno || ino < 1<<17-besides || n < firstHashed || n >= 2*firstHashed {
				rt.Fatalf("%+v: %d has the hash %#x", p, ino, n)
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
		back := address{volume: cut(c.volume), part: int(cut(c.part)), layer: uint8(cut(c.layer))}
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
		p := address{volume: 1<<c.volume - 1, part: 1<<c.part - 1, layer: 1<<c.layer - 1}
		for _, what := range []volfs.Ino{RawIno, PartsIno, InfoIno} {
			n, _ := p.number(what)
			if other, _ := p.number(what & (1<<c.ino - 1)); other == n {
				t.Errorf("%+v: %#x is the inode number of both a file and an image", p, n)
			}
		}
	}
}

func TestInodeNumbersInPracticeAreExactInADouble(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		place  address
		inodes uint64
		below  uint64 // the number must be below this
	}{
		{"a device id below 2^20", address{volume: 1<<20 - 1}, 1<<32 - besides, 1 << 53},
		{"any device id", address{volume: 1<<24 - 1}, 1<<27 - besides, 1 << 53},
		{"device 0", address{}, 1<<37 - besides, 1 << 53},
		{"ten sources of 2^20 devices each", address{volume: 10<<20 - 1}, 1<<27 - besides, 1 << 53},
		{"eight sources with any device ids", address{volume: 8<<24 - 1}, 1<<20 - besides, 1 << 53},
		{"a large xfs", address{volume: 1<<10 - 1}, 1<<39 - besides, 1 << 53},
		{"a partition", address{volume: 1<<13 - 1, part: 15}, 1<<32 - besides, 1 << 53},
		{"a large partition", address{volume: 1<<9 - 1, part: 15}, 1<<36 - besides, 1 << 53},
		{"one of several pools", address{volume: 1<<10 - 1, layer: 255}, 1<<30 - besides, 1 << 53},

		{"any device id of 64 sources", address{volume: maxVolume}, 1<<32 - besides, 1 << 63},
		{"a partition of any device id", address{volume: 1<<24 - 1, part: 15}, 1<<32 - besides, 1 << 63},
		{"any partition of one of several pools", address{volume: 1<<12 - 1, layer: 255, part: 255}, 1<<32 - besides, 1 << 63},
		{"an xfs with the largest inode numbers", address{volume: 1<<19 - 1}, 1<<40 - besides, 1 << 63},
		{"a partition with the largest inode numbers", address{volume: 1<<14 - 1, part: 15}, 1<<40 - besides, 1 << 63},
	} {
		for _, ino := range []volfs.Ino{0, 1, volfs.Ino(c.inodes) / 2, volfs.Ino(c.inodes) - 1, RawIno, PartsIno, InfoIno} {
			if n, isHash := c.place.number(ino); isHash || n >= c.below {
				t.Errorf("%s: inode %d has number %#x, by a hash: %v", c.what, ino, n, isHash)
			}
		}
	}
}

func TestInodeNumberConsistsOfDeviceIDAndNumberOnTheDisk(t *testing.T) {
	t.Parallel()
	p := address{volume: 23}
	if n, isHash := p.number(130817); isHash || n != 23<<32+130817 {
		t.Errorf("device 23, inode 130817: %d, %v", n, isHash)
	}
}
