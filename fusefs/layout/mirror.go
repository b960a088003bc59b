package layout

import (
	"cmp"
	"slices"
	"strings"
)

// mirror says that a folder of raw/ or info/ has entries for the volumes in a folder of volumes/. They
// are made when somebody looks there: in most trees nobody does, and they would be most of all nodes.
type mirror struct {
	of    *Node
	kinds []mirrored
}

// mirrored is an entry for a volume in a mirror.
type mirrored struct {
	suffix string
	number uint64 // beside the volume's filesystem: RawIno, PartsIno or InfoIno
}

var (
	infoMirror = []mirrored{{".json", uint64(InfoIno)}}
	rawMirror  = []mirrored{{".img", uint64(RawIno)}, {".parts", uint64(PartsIno)}}
)

// mirrorVolumes makes a folder of a source a mirror of its folder volumes, with all folders below.
func (a *adder) mirrorVolumes(view string, kinds []mirrored) {
	var walk func(of *Node, path string)
	walk = func(of *Node, path string) {
		d := a.dir(path)
		if d == nil {
			return // the path is too long
		}
		d.folder.mirror = &mirror{of, kinds}
		for _, e := range of.folder.entries {
			if e.Volume == nil {
				walk(e, Join(path, e.Name))
			}
		}
	}
	if volumes := a.dirs[a.path("volumes")]; volumes != nil {
		walk(volumes, a.path(view))
	}
}

// reflect makes the entries of a mirror, once.
func (f *folder) reflect(d *Node) {
	f.reflecting.Do(func() {
		taken := make(map[string]bool, len(f.entries))
		for _, e := range f.entries {
			taken[e.Name] = true
		}
		f.made = slices.Clone(f.entries)
		dir := d.Path() + "/"
		for _, e := range f.mirror.of.folder.entries {
			if e.Volume == nil {
				continue
			}
			for _, kind := range f.mirror.kinds {
				if kind.number == uint64(PartsIno) && !e.Volume.Record.MayHavePartitions() {
					continue
				}
				name := e.Name + kind.suffix
				if taken[name] {
					name += "@" + e.Volume.tag
				}
				if taken[name] || len(dir)+len(name) > maxPath {
					continue
				}
				f.made = append(f.made, &Node{Name: name, Parent: d, Cookie: cookieOf([]byte(dir + name)), Volume: e.Volume, number: kind.number})
			}
		}
		slices.SortFunc(f.made, func(x, y *Node) int { return cmp.Compare(x.Name, y.Name) })
	})
}

// sameMirrored reports whether an entry of a folder of volumes/ has the same entries in mirrors in two
// layouts.
func sameMirrored(x, y *Node) bool {
	return sameEntry(x, y) && (x.Volume == nil || x.Volume.Record.MayHavePartitions() == y.Volume.Record.MayHavePartitions())
}

// isTaken reports whether a source has a volume or folder of a name in volumes/.
func (a *adder) isTaken(name string) bool {
	_, taken := a.taken[cookieOf([]byte(strings.TrimPrefix(a.path("volumes")+"/"+name, "/")))]
	return taken
}
