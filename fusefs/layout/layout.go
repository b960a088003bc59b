package layout

import (
	"strings"

	"thintree/meta"
)

// Layout is the folders and links of all sources. It never changes.
type Layout struct {
	Root *Node
	// Sections are the parts of the sources, in the order of Build's.
	Sections []Section

	nodes   map[NodeID]*Node // without the nodes of volumes
	users   map[*Slot]Users  // by the volumes' slots
	volumes map[any]*Volume  // by identity
}

// Section is the part of a layout for one source.
type Section struct {
	Folder string // "" if it is the only source
	Pools  []Pool
	Plain  Plain
	// Deleted are the deleted volumes. They have their info, but no folder.
	Deleted []*Volume
	// Misfits has a list for each of Pools: the volumes whose devices the pool lacks.
	Misfits [][]*Volume

	layers map[string]uint8 // the layers of pools, by name
}

// Pool is a pool of a source. It must be comparable.
type Pool interface {
	// Name is its name in the source.
	Name() string
	// IDs are the ids of its devices, ascending.
	IDs() []uint32
	// Lost is why IDs may be incomplete, nil if it is complete.
	Lost() error
	// Identity identifies the volume of a record. It is comparable, and changes if the record's
	// device becomes another volume, whose bytes and attributes must not be mixed with those of
	// the one before.
	Identity(record *meta.Volume) any
	// OtherDevice returns an error if the device with a record's id is not the one that the
	// record describes. It returns nil if it is, and also if that cannot be checked.
	OtherDevice(record *meta.Volume) error
	// NoDevice returns an error if the pool has no device for a record, or only another one with
	// the same id. It returns nil otherwise.
	NoDevice(record *meta.Volume) error
}

// Plain identifies the volumes of a source that are in no pool, as Pool.Identity does for others.
type Plain interface {
	Identity(record *meta.Volume) any
}

// Volume is a volume of a layout.
type Volume struct {
	// Record is the source's record of it. Its Name is the name in the tree, which differs from
	// the source's name if that was taken or is no valid path: see Escape.
	Record *meta.Volume
	Pool   Pool // nil if it is in none
	// Identity is what Pool.Identity or Plain.Identity returned for it.
	Identity any
	// Origin is the external origin that the record names, nil if there is none.
	Origin *Volume
	// Slot is the same in all layouts that have the volume.
	Slot *Slot

	tag string // distinguishes it in names from others of the same name
}

// Name is the volume's name in the tree.
func (v *Volume) Name() string { return v.Record.Name }

// Users are the containers, images and snapshots that a volume belongs to.
type Users struct {
	Containers []User[meta.Container]
	Images     []User[meta.Image]
	Snapshots  []User[meta.Snapshot]
}

// User is a record of something that a volume belongs to.
type User[T any] struct {
	Name   string // its path below its view
	Record *T
}

// Users returns the users of the volume with a slot.
func (l *Layout) Users(s *Slot) Users { return l.users[s] }

// Node is the node with an id, nil if there is none or if it belongs to a volume.
func (l *Layout) Node(id NodeID) *Node { return l.nodes[id] }

// Find returns the node at a path, nil if there is none. It follows no links.
func (l *Layout) Find(path string) *Node {
	n := l.Root
	for name := range strings.SplitSeq(path, "/") {
		if n = n.Child(name); n == nil {
			return nil
		}
	}
	return n
}

// Volumes lists all volumes source by source: first those in folders, in the order of their
// names, then the deleted ones.
func (l *Layout) Volumes() (list []*Volume) {
	var walk func(n *Node)
	walk = func(n *Node) {
		for _, e := range n.entries() {
			if e.Volume == nil {
				walk(e)
			} else {
				list = append(list, e.Volume)
			}
		}
	}
	for _, s := range l.Sections {
		if n := l.Find(Join(s.Folder, "volumes")); n != nil {
			walk(n)
		}
		list = append(list, s.Deleted...)
	}
	return list
}

// Meant returns the paths that a name of a volume may stand for, in each source in which it may stand
// for some. The name is the volume's name, "@" and its device id, or "container:", "image:" or
// "snapshot:" and a name. An image without a tag is the one with the tag latest. After the name of a
// source's folder and a slash, the name is one in that source only.
func (l *Layout) Meant(name string) (bySource [][]string) {
	for _, s := range l.Sections {
		inside, ok := strings.CutPrefix(name, s.Folder+"/")
		if s.Folder != "" && ok {
			return [][]string{s.meant(inside)}
		}
	}
	for _, s := range l.Sections {
		bySource = append(bySource, s.meant(name))
	}
	return bySource
}

// meant is Meant in one source. Each name may also be as the records have it, before Escape.
func (s *Section) meant(name string) (paths []string) {
	add := func(view, name, suffix string) {
		paths = append(paths, Join(s.Folder, view+name+suffix))
		if escaped := Escape(name); escaped != name {
			paths = append(paths, Join(s.Folder, view+escaped+suffix))
		}
	}
	kind, rest, _ := strings.Cut(name, ":")
	id, isID := strings.CutPrefix(name, "@")
	switch {
	case kind == "container":
		add("containers/", rest, "")
		return paths
	case kind == "image":
		add("images/", rest, "")
		add("images/", rest, ":latest")
		return paths
	case kind == "snapshot":
		add("snapshots/", rest, "")
		return paths
	case isID:
		for _, p := range s.Pools {
			add("by-id/"+Escape(p.Name())+"/", id, "")
		}
	}
	add("volumes/", name, "")
	return paths
}

// maxLinks is how many links VolumeAt follows. The kernel has the same limit.
const maxLinks = 40

// VolumeAt returns the volume that a path leads to or into, nil if it leads to none.
func (l *Layout) VolumeAt(at string) *Volume {
	for range maxLinks {
		n, rest := l.Root, cleanParts(at)
		for n != nil && n.Volume == nil && n.Target == "" && len(rest) > 0 {
			n, rest = n.Child(rest[0]), rest[1:]
		}
		switch {
		case n == nil:
			return nil
		case n.Volume != nil:
			return n.Volume
		case n.Target == "":
			return nil // a folder above the volumes
		}
		at = strings.Join(append([]string{n.Parent.Path(), n.Target}, rest...), "/")
	}
	return nil
}
