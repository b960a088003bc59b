package kernelfs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// randomTree returns random folders with their subfolders.
func randomTree(random *rand.Rand, folders int) map[volfs.Ino][]withAttr {
	tree := map[volfs.Ino][]withAttr{1: nil}
	for ino := volfs.Ino(2); len(tree) < folders; ino++ {
		up := 1 + volfs.Ino(random.IntN(int(ino-1)))
		e := volfs.DirEntry{Name: fmt.Sprint(random.IntN(1000), "-", ino), Ino: ino, Type: unix.S_IFDIR}
		tree[up] = append(tree[up], withAttr{DirEntry: e})
		tree[ino] = nil
	}
	return tree
}

func TestAWalkEntersTheExpectedFolders(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, sorted := range []bool{false, true} {
		tree := randomTree(random, 200)
		var r routes
		for walk := range 3 {
			n := 0
			var expected []volfs.Ino // and not entered yet
			var visit func(dir volfs.Ino)
			visit = func(dir volfs.Ino) {
				in := tree[dir]
				for i := 0; i == 0 || i < len(in); i += 3 {
					r.found(dir, in[i:min(i+3, len(in))], i == 0, i+3 >= len(in))
				}
				// After the first folder the direction of a walk is unknown, and after the
				// second its order.
				if n > 1 && !slices.Contains(expected, dir) {
					t.Fatalf("sorted %v, walk %d comes to folder %d, expected was %d", sorted, walk, dir, expected)
				}
				expected = slices.DeleteFunc(expected, func(e volfs.Ino) bool { return e == dir })
				for _, next := range r.listed(dir) {
					if !slices.Contains(expected, next) { // expected in the other order
						expected = append(expected, next)
					}
				}
				if again := r.listed(dir); len(again) > 0 {
					t.Fatalf("told of folder %d twice: %d", dir, again)
				}
				n++
				in = slices.Clone(in)
				if sorted {
					slices.SortFunc(in, func(a, b withAttr) int { return strings.Compare(a.Name, b.Name) })
				}
				for _, e := range in {
					visit(e.Ino)
				}
			}
			visit(1)
			if n != len(tree) {
				t.Fatalf("the walk came to %d of %d folders", n, len(tree))
			}
		}
	}
}

func TestRoutesAreBounded(t *testing.T) {
	t.Parallel()
	var r routes
	for i := range volfs.Ino(3 * maxRoute) {
		in := []withAttr{{DirEntry: volfs.DirEntry{Name: "d", Ino: i + 1, Type: unix.S_IFDIR}}}
		r.found(i, in, true, i%2 == 0)
		r.found(1<<40, in, false, false)
		r.listed(i)
	}
	if n := len(r.begun[1<<40]); n > maxRoute+1 || len(r.begun) > maxBegun {
		t.Errorf("%d folders are begun, of one %d entries are remembered", len(r.begun), n)
	}
	for _, r := range []route{r.listing, r.byName} {
		if len(r.next) > maxRoute+1 || len(r.expected) > maxExpected {
			t.Errorf("%d and %d are remembered", len(r.next), len(r.expected))
		}
	}
}
