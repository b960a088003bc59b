package layout

import (
	"strings"

	"thintree/meta"
)

// Layout is all that the sources name, as folders and links. It is never changed.
type Layout struct {
	Root *Node
	// Sections are what it has of each source.
	Sections []Section

	nodes   map[NodeID]*Node // but for those of volumes
	users   map[*Slot]Users  // by the volumes' slots
	volumes map[any]*Volume  // by identity
}

// Section is what a layout has of one source.
type Section struct {
	Folder string // "" if it is the only source
	Pools  []Pool
	// Deleted are volumes that are in no folder, but have their info.
	Deleted []*Volume
	// Misfits are, for each of Pools, the volumes whose records name no device of their own
	// in it.
	Misfits [][]*Volume

	layers map[string]uint8 // of pools, by name
}

// Pool is a pool that a source has. It must be comparable.
type Pool interface {
	// Name is its name in the source.
	Name() string
	// IDs are the ids of its devices, rising.
	IDs() []uint32
	// Lost is why there may be ids that are not among IDs; nil if there are none.
	Lost() error
	// Identity is comparable, and differs if a record's volume is another one than before:
	// other bytes, or other attributes that must not be mixed with those of before.
	Identity(record *meta.Volume) any
	// OtherDevice is why the device with a record's id is not the one that it was made for;
	// nil if it is, or nobody can say.
	OtherDevice(record *meta.Volume) error
	// NoDevice is why a record names no device of its own, as far as IDs and OtherDevice
	// say; nil if it does.
	NoDevice(record *meta.Volume) error
}

// Volume is a volume as a layout shows it.
type Volume struct {
	// Record is what the source says of it. Its Name is the shown one, which differs if the
	// name was taken.
	Record *meta.Volume
	Pool   Pool
	// Identity is the pool's of it.
	Identity any
	// Slot is the same in all layouts that have the volume.
	Slot *Slot
}

// Name is the volume's shown name.
func (v *Volume) Name() string { return v.Record.Name }

// Deleted reports whether its owner has deleted the volume, though the pool may still have
// its device.
func (v *Volume) Deleted() bool { return v.Record.State == meta.StateDeleted }

// Users are the names of the containers and images that a volume is of.
type Users struct{ Containers, Images []string }

// Users are those of the volume with a slot.
func (l *Layout) Users(s *Slot) Users { return l.users[s] }

// Node is the node of an id, nil if it is in none of the layout's folders, or in a volume.
func (l *Layout) Node(id NodeID) *Node { return l.nodes[id] }

// Find is the node of a path, nil if there is none. It follows no links.
func (l *Layout) Find(path string) *Node {
	n := l.Root
	for name := range strings.SplitSeq(path, "/") {
		if n = n.Child(name); n == nil {
			return nil
		}
	}
	return n
}

// Volumes lists all volumes: those in folders in the order of their names, then those that
// are deleted, source by source.
func (l *Layout) Volumes() (list []*Volume) {
	var walk func(n *Node)
	walk = func(n *Node) {
		for _, e := range n.entries {
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

// Meant are the paths that a person can mean by the name of a volume: its name, @ and a device
// id, or container: or image: and a name. An image without a tag is the one tagged latest.
func (l *Layout) Meant(name string) (paths []string) {
	kind, rest, _ := strings.Cut(name, ":")
	id, isID := strings.CutPrefix(name, "@")
	for _, s := range l.Sections {
		switch {
		case kind == "container":
			paths = append(paths, Join(s.Folder, "containers/"+rest))
		case kind == "image":
			paths = append(paths, Join(s.Folder, "images/"+rest), Join(s.Folder, "images/"+rest+":latest"))
		case isID:
			for _, p := range s.Pools {
				paths = append(paths, Join(s.Folder, "by-id/"+p.Name()+"/"+id))
			}
			fallthrough
		default:
			paths = append(paths, Join(s.Folder, "volumes/"+name))
		}
	}
	return paths
}

// maxLinks is how many links VolumeAt follows, as the kernel does.
const maxLinks = 40

// VolumeAt is the volume that a path leads to or into, nil if it leads to none.
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
