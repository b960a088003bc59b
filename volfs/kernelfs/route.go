package kernelfs

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

const (
	maxRoute     = 1 << 12 // folders that are known at a time
	maxBegun     = 64      // folders of which more will be listed
	maxExpected  = 16      // folders that walks should come to
	foldersAhead = 2       // of a walk
)

// routes are the ways that walks take through a filesystem, as far as it was listed: in
// the order of its folders, or by name. The zero value knows nothing.
type routes struct {
	begun           map[volfs.Ino][]subfolder // what was found so far in folders
	listing, byName route
}

// subfolder is one that was found in another.
type subfolder struct {
	name string
	ino  volfs.Ino
}

// found tells what was found in a part of a folder; first and end say that nothing comes
// before and after it.
func (r *routes) found(dir volfs.Ino, entries []withAttr, first, end bool) {
	if r.begun == nil || len(r.begun) >= maxBegun {
		r.begun = make(map[volfs.Ino][]subfolder)
	}
	var in []subfolder
	if !first {
		in = r.begun[dir]
	}
	for i := range entries {
		if e := &entries[i]; e.Type == unix.S_IFDIR && e.Name != "." && e.Name != ".." && len(in) <= maxRoute {
			in = append(in, subfolder{e.Name, e.Ino})
		}
	}
	if !end {
		r.begun[dir] = in
		return
	}
	delete(r.begun, dir)
	if len(in) == 0 || len(in) > maxRoute {
		return
	}
	r.listing.add(dir, in)
	slices.SortFunc(in, func(a, b subfolder) int { return strings.Compare(a.name, b.name) })
	r.byName.add(dir, in)
}

// listed tells that a folder was listed to its end. It gives those that a walk which
// was expected there comes to next, and that were not given yet.
func (r *routes) listed(dir volfs.Ino) (next []volfs.Ino) {
	for _, route := range []*route{&r.listing, &r.byName} {
		for _, ino := range route.listed(dir) {
			if !slices.Contains(next, ino) {
				next = append(next, ino)
			}
		}
	}
	return next
}

// route is one order of folders: after each one the first in it, or else what came
// after it.
type route struct {
	next     map[volfs.Ino]volfs.Ino
	expected []volfs.Ino // that walks should come to now, the oldest first
}

// add adds all folders in one.
func (r *route) add(dir volfs.Ino, in []subfolder) {
	if r.next == nil || len(r.next) > maxRoute {
		r.next = make(map[volfs.Ino]volfs.Ino)
	}
	then, known := r.next[dir]
	at := dir
	for _, f := range in {
		if f.ino == then {
			known = false // they were listed before
		}
		r.next[at] = f.ino
		at = f.ino
	}
	if known {
		r.next[at] = then
	}
}

// listed returns what comes after a folder that was expected, but what is expected already.
func (r *route) listed(dir volfs.Ino) (next []volfs.Ino) {
	came := r.forget(dir)
	for range foldersAhead {
		ino, ok := r.next[dir]
		if !ok {
			break
		}
		if !r.forget(ino) && came {
			next = append(next, ino)
		}
		r.expect(ino)
		if !came {
			break // it may be no walk at all
		}
		dir = ino
	}
	return next
}

func (r *route) expect(dir volfs.Ino) {
	if len(r.expected) == maxExpected {
		r.expected = slices.Delete(r.expected, 0, 1)
	}
	r.expected = append(r.expected, dir)
}

// forget has a folder be expected no more, and reports whether it was.
func (r *route) forget(dir volfs.Ino) bool {
	i := slices.Index(r.expected, dir)
	if i >= 0 {
		r.expected = slices.Delete(r.expected, i, i+1)
	}
	return i >= 0
}
