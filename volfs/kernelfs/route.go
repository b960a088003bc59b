package kernelfs

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

const (
	maxRoute     = 1 << 12 // how many folders are remembered
	maxBegun     = 64      // folders that are partly listed
	maxExpected  = 16      // folders that walks are expected to enter next
	foldersAhead = 2       // how many folders of a walk are read ahead
)

// routes predict how walks go through the listed part of a filesystem: in the order of
// listings, or by name. The zero value predicts nothing.
type routes struct {
	begun           map[volfs.Ino][]subfolder // the subfolders found so far, by folder
	listing, byName route
}

// subfolder is a folder that was found in another.
type subfolder struct {
	name string
	ino  volfs.Ino
}

// found records the entries of a part of a folder. first and end say that none come before
// and after it.
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

// listed records that a folder was listed to its end. If a walk was expected there, it
// returns the folders that the walk enters next and that it has not returned before.
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

// route is an order of folders. After a folder comes the first folder in it, or, if there
// is none, the folder that came after it before.
type route struct {
	next     map[volfs.Ino]volfs.Ino
	expected []volfs.Ino // that walks are expected to enter now, the oldest first
}

// add inserts the subfolders of a folder after it.
func (r *route) add(dir volfs.Ino, in []subfolder) {
	if r.next == nil || len(r.next) > maxRoute {
		r.next = make(map[volfs.Ino]volfs.Ino)
	}
	then, known := r.next[dir]
	at := dir
	for _, f := range in {
		if f.ino == then {
			known = false // the folder was listed before
		}
		r.next[at] = f.ino
		at = f.ino
	}
	if known {
		r.next[at] = then
	}
}

// listed is routes.listed for one route.
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
			break // this may not be a walk
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

// forget removes a folder from expected, and reports whether it was there.
func (r *route) forget(dir volfs.Ino) bool {
	i := slices.Index(r.expected, dir)
	if i >= 0 {
		r.expected = slices.Delete(r.expected, i, i+1)
	}
	return i >= 0
}
