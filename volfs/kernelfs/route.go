package kernelfs

import (
	"slices"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

const (
	maxRoute = 1 << 14 // folders whose next one is known
	maxWalks = 8       // that are followed
)

// route is the order in which a walk comes to folders, as far as they were listed:
// after each one the first in it, or else what came after it. The zero value is one of
// nothing.
type route struct {
	next map[volfs.Ino]volfs.Ino
	// begun is how far folders are of which more will be listed.
	begun map[volfs.Ino]begun
	// expected are the folders that walks should come to now, the oldest first.
	expected []volfs.Ino
}

// begun is how far a folder was listed.
type begun struct {
	last  volfs.Ino // folder in it; itself where there is none
	then  volfs.Ino // is what comes after all of it,
	known bool      // if it does, and the route does not have it yet
}

// found adds the folders in a part of a folder; first and end say that nothing comes
// before and after it.
func (r *route) found(dir volfs.Ino, entries []withAttr, first, end bool) {
	if r.next == nil || len(r.next) > maxRoute {
		r.next, r.begun = make(map[volfs.Ino]volfs.Ino), make(map[volfs.Ino]begun)
	}
	b, ok := r.begun[dir]
	if first || !ok {
		b = begun{last: dir}
		b.then, b.known = r.next[dir]
	}
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Type != unix.S_IFDIR || e.Name == "." || e.Name == "..":
			continue
		case e.Ino == b.then:
			b.known = false // it was listed before
		}
		r.next[b.last] = e.Ino
		b.last = e.Ino
	}
	if b.known {
		r.next[b.last] = b.then
	}
	if r.begun[dir] = b; end {
		delete(r.begun, dir)
	}
}

// listed tells that a folder was listed to its end. It gives the one that a walk comes
// to next, if this one was expected too.
func (r *route) listed(dir volfs.Ino) (next volfs.Ino, ok bool) {
	came := r.drop(dir)
	next, ok = r.next[dir]
	if !ok {
		return 0, false
	}
	r.drop(next)
	if len(r.expected) == maxWalks {
		r.expected = slices.Delete(r.expected, 0, 1)
	}
	r.expected = append(r.expected, next)
	return next, came
}

// drop forgets that a folder is expected, and tells whether it was.
func (r *route) drop(dir volfs.Ino) bool {
	i := slices.Index(r.expected, dir)
	if i >= 0 {
		r.expected = slices.Delete(r.expected, i, i+1)
	}
	return i >= 0
}
