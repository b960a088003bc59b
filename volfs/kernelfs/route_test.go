package kernelfs

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// randomTree is folders with those in them, each listed in parts.
func randomTree(random *rand.Rand, folders int) map[volfs.Ino][][]withAttr {
	tree := map[volfs.Ino][][]withAttr{1: nil}
	for ino := volfs.Ino(2); len(tree) < folders; ino++ {
		up := 1 + volfs.Ino(random.IntN(int(ino-1)))
		e := withAttr{DirEntry: volfs.DirEntry{Name: fmt.Sprint(ino), Ino: ino, Type: unix.S_IFDIR}}
		if random.IntN(4) == 0 || tree[up] == nil {
			tree[up] = append(tree[up], nil)
		}
		parts := tree[up]
		parts[len(parts)-1] = append(parts[len(parts)-1], e)
		tree[ino] = nil
	}
	return tree
}

func TestWalkComesToWhatIsExpected(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		tree := randomTree(random, 200)
		var r route
		var expected volfs.Ino
		for walk := range 2 {
			n := 0
			var visit func(dir volfs.Ino)
			visit = func(dir volfs.Ino) {
				for i, part := range tree[dir] {
					r.found(dir, part, i == 0, i == len(tree[dir])-1)
				}
				if n > 0 && dir != expected {
					t.Fatalf("walk %d comes to folder %d, expected was %d", walk, dir, expected)
				}
				next, ok := r.listed(dir)
				if ok != (n > 0 && next != 0) {
					t.Fatalf("walk %d, folder %d: %v, next is %d", walk, dir, ok, next)
				}
				if again, ok := r.listed(dir); ok || again != next {
					t.Fatalf("walk %d, folder %d told of twice: %v, next is %d", walk, dir, ok, again)
				}
				expected = next
				n++
				for _, part := range tree[dir] {
					for _, e := range part {
						visit(e.Ino)
					}
				}
			}
			visit(1)
			if n != len(tree) || expected != 0 {
				t.Fatalf("the walk came to %d of %d folders, then is expected %d", n, len(tree), expected)
			}
		}
	}
}

func TestRouteForgetsWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	var r route
	for i := range volfs.Ino(3 * maxRoute) {
		r.found(i, []withAttr{{DirEntry: volfs.DirEntry{Name: "d", Ino: i + 1, Type: unix.S_IFDIR}}}, true, false)
		r.listed(i)
	}
	if len(r.next) > maxRoute+1 || len(r.begun) > maxRoute+1 || len(r.expected) > maxWalks {
		t.Errorf("%d, %d and %d are remembered", len(r.next), len(r.begun), len(r.expected))
	}
}
