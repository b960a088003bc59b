package layout

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// builder makes a layout.
type builder struct {
	Options
	before *Layout // nil for the first
	layout *Layout
	// dirs are the folders made so far, by path, and names what is in them.
	dirs  map[string]*Node
	names map[*Node]map[string]*Node
	// fresh are the volumes that the layout before does not have, and counts is how
	// many volumes there are by their address.volume.
	fresh  []*Volume
	beside []*Volume // the same, of a device id that others have too
	counts map[uint64]int
}

// newBuilder begins a layout of about count volumes, each of which is a link too.
func newBuilder(o Options, before *Layout, count int) *builder {
	root := &Node{id: RootID}
	nodes := make(map[NodeID]*Node, count)
	nodes[RootID] = root
	return &builder{
		Options: o, before: before,
		layout: &Layout{Root: root, nodes: nodes, users: make(map[*Slot]Users), volumes: make(map[any]*Volume, count)},
		dirs:   map[string]*Node{"": root},
		names:  map[*Node]map[string]*Node{root: {}},
		counts: make(map[uint64]int, count),
	}
}

// dir is the folder at a path, made with those above it if it is missing; nil if
// something else has that name.
func (b *builder) dir(path string) *Node {
	if d := b.dirs[path]; d != nil {
		return d
	}
	up, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		up, name = path[:i], path[i+1:]
	}
	d := &Node{Name: name}
	if !b.put(b.dir(up), path, d) {
		return nil
	}
	b.dirs[path] = d
	b.names[d] = make(map[string]*Node)
	return d
}

// expect makes a folder that will hold about count entries.
func (b *builder) expect(path string, count int) {
	if d := b.dir(path); d != nil && len(d.entries) == 0 {
		b.names[d] = make(map[string]*Node, count)
		d.entries = make([]*Node, 0, count)
	}
}

// put adds a node to a folder, unless its name is taken there.
func (b *builder) put(parent *Node, path string, n *Node) bool {
	if parent == nil || b.names[parent][n.Name] != nil {
		return false
	}
	n.Parent = parent
	n.Cookie = max(hashOf(path)&^fileBit, DotDotCookie+1)
	b.names[parent][n.Name] = n
	parent.entries = append(parent.entries, n)
	return true
}

// add puts a node in a folder under a name whose slashes make folders, or under name@tag if
// that is taken, by a folder or by another node of the same name. It returns the name that
// the node got, "" if both are taken.
func (b *builder) add(under, name, tag string, n *Node) string {
	for _, try := range []string{name, name + "@" + tag} {
		path := Join(under, try)
		up := ""
		n.Name = path
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			up, n.Name = path[:i], path[i+1:]
		}
		if b.put(b.dir(up), path, n) {
			return try
		}
	}
	return ""
}

// finish sorts and numbers the folders. What is as it was in the layout before has the time
// that it had there: the kernel keeps a folder's listing as long as that stays.
func (b *builder) finish(now time.Time) *Layout {
	for _, d := range b.dirs {
		slices.SortFunc(d.entries, func(x, y *Node) int { return cmp.Compare(x.Name, y.Name) })
		d.listing = slices.Clone(d.entries)
		slices.SortFunc(d.listing, func(x, y *Node) int { return cmp.Compare(x.Cookie, y.Cookie) })
	}
	b.number()
	for id, n := range b.layout.nodes {
		n.When = now.UnixNano()
		if b.before == nil {
			continue
		}
		if old := b.before.nodes[id]; old != nil && old.Target == n.Target && (old.Lost == nil) == (n.Lost == nil) && slices.EqualFunc(old.entries, n.entries, sameEntry) {
			n.When = old.When
		}
	}
	return b.layout
}

// sameEntry reports whether a folder's entry is what another one was in the layout before.
func sameEntry(x, y *Node) bool {
	if x.Volume == nil || y.Volume == nil {
		return x.Name == y.Name && x.Volume == y.Volume && x.id == y.id
	}
	return x.Name == y.Name && x.Volume.Slot == y.Volume.Slot && x.ino == y.ino
}

// number gives ids to what lies in no volume. If several nodes want one, the one with the
// lowest cookie gets it, and the others those that follow; but what was in the layout before
// keeps its own.
func (b *builder) number() {
	nodes, before := b.layout.nodes, b.before
	kept := func(n *Node, id NodeID) bool {
		if before == nil {
			return false
		}
		old := before.nodes[id]
		return old != nil && old.Cookie == n.Cookie && old.Name == n.Name
	}
	var fresh []*Node
	for _, d := range b.dirs {
		for _, n := range d.entries {
			if n.Volume != nil {
				continue
			}
			id := viewID(n.Cookie)
			for before != nil && before.nodes[id] != nil && !kept(n, id) {
				id = viewID(uint64(id) + 1)
			}
			if !kept(n, id) {
				fresh = append(fresh, n)
				continue
			}
			n.id, nodes[id] = id, n
		}
	}
	for _, n := range fresh {
		id := viewID(n.Cookie)
		for ; nodes[id] != nil; id = viewID(uint64(id) + 1) {
			if other := nodes[id]; !kept(other, id) && n.Cookie < other.Cookie {
				n.id, nodes[id], n = id, n, other
			}
		}
		n.id, nodes[id] = id, n
	}
}

// lose says of a folder that it may have more entries than are known.
func (b *builder) lose(path string, why error) {
	if d := b.dir(path); d != nil {
		d.Lost = why
	}
}
