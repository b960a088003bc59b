package tree

import (
	"context"
	"sync"

	"thintree/fusefs/layout"
)

// aheadCount is how many volumes are peeked at ahead of a program that looks them up in the order
// of a listing.
const aheadCount = 32

// ahead peeks at volumes before they are looked up. A program such as ls -l looks up all entries of
// a folder one after another, and the time between two lookups would be lost otherwise.
type ahead struct {
	mu   sync.Mutex
	next *layout.Node // the entry after the one that was looked up last; guarded by mu
	left int          // how many more lookups in order until the next volumes are peeked at; guarded by mu
	busy sync.WaitGroup
}

// lookedUp is called when the root of a volume is looked up in a folder of the layout.
func (t *Tree) lookedUp(folder, entry *layout.Node) {
	following := folder.After(entry.Cookie)
	a := &t.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	inOrder := a.next == entry
	a.next = nil
	if len(following) > 0 {
		a.next = following[0]
	}
	switch {
	case !inOrder:
		a.left = 0
	case a.left > 0:
		a.left--
	default:
		a.left = aheadCount / 2
		following = following[:min(len(following), aheadCount)]
		a.busy.Go(func() { t.peekAhead(following) })
	}
}

// peekAhead peeks at the volumes of nodes. It leaves out those of active pools, which are read only
// for what is asked, and those that would have to be opened.
func (t *Tree) peekAhead(nodes []*layout.Node) {
	for _, n := range nodes {
		if n.Volume == nil {
			continue
		}
		if r := t.rootOf(n.Volume); r != nil && !t.opener.MayStall(r.Volume) {
			t.opener.PeekAhead(context.Background(), r.Root)
		}
	}
}
