package layout

import (
	"bytes"
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
	dirs   map[string]*Node    // the folders made so far, by path
	taken  map[uint64]struct{} // the cookies of all nodes: of two with one cookie a listing would lack one
	fresh  []*Volume           // those that the layout before does not have
	beside []*Volume           // more of these: see addVolume
	counts map[uint64]int      // how many volumes have an address.volume
	path   []byte              // memory for addAt
}

// maxPath is how long the paths of nodes may be, in bytes: PATH_MAX without the NUL. Each folder of a
// path takes time and memory in proportion to its own path, so that there must be a limit.
const maxPath = 4095

// nodesEach is roughly how many nodes a volume has.
const nodesEach = 2

// newBuilder begins a layout. count is roughly how many volumes and links it will have.
func newBuilder(o Options, before *Layout, count int) *builder {
	root := &Node{number: uint64(RootID), folder: &folder{}}
	nodes := make(map[NodeID]*Node, count)
	nodes[RootID] = root
	return &builder{
		Options: o, before: before,
		layout: &Layout{Root: root, nodes: nodes, users: make(map[*Slot]Users), volumes: make(map[any]*Volume, count)},
		dirs:   map[string]*Node{"": root},
		taken:  make(map[uint64]struct{}, nodesEach*count),
		counts: make(map[uint64]int, count),
	}
}

// dir returns the folder at a path. It makes the folder and those above it if they are missing.
// It returns nil if something else has the name, or the path is too long.
func (b *builder) dir(path string) *Node {
	if d := b.dirs[path]; d != nil {
		return d
	}
	if len(path) > maxPath {
		return nil
	}
	up, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		up, name = path[:i], path[i+1:]
	}
	d := &Node{Name: name, folder: &folder{}}
	if !b.put(b.dir(up), []byte(path), d) {
		return nil
	}
	b.dirs[path] = d
	return d
}

// expect makes a folder that will have about count entries.
func (b *builder) expect(path string, count int) {
	if d := b.dir(path); d != nil && len(d.folder.entries) == 0 {
		d.folder.entries = make([]*Node, 0, count)
	}
}

// put adds a node to a folder. It returns false if the name is taken there, or the path is too
// long.
func (b *builder) put(parent *Node, path []byte, n *Node) bool {
	if parent == nil || len(path) > maxPath {
		return false
	}
	n.Cookie = cookieOf(path)
	count := len(b.taken)
	if b.taken[n.Cookie] = struct{}{}; len(b.taken) == count {
		return false
	}
	n.Parent = parent
	parent.folder.entries = append(parent.folder.entries, n)
	return true
}

// cookieOf is the cookie of the node at a path.
func cookieOf(path []byte) uint64 { return max(hashBytes(path)&^fileBit, DotDotCookie+1) }

// add puts a node below a folder under a name, in which slashes make more folders. If the name
// is taken by a folder or another node, it puts the node under name@tag. It returns the name that
// the node got, "" if both are taken or too long.
func (b *builder) add(under, name, tag string, n *Node) string {
	if b.addAt(under, name, n) {
		return name
	}
	if name += "@" + tag; b.addAt(under, name, n) {
		return name
	}
	return ""
}

// addAt puts a node below a folder. It returns false if the path is taken or too long. Of the path
// only the node's own name stays in memory.
func (b *builder) addAt(under, name string, n *Node) bool {
	b.path = append(append(append(b.path[:0], under...), '/'), name...)
	up := b.path[:bytes.LastIndexByte(b.path, '/')]
	n.Name = name[strings.LastIndexByte(name, '/')+1:]
	d := b.dirs[string(up)]
	if d == nil {
		d = b.dir(string(up))
	}
	return b.put(d, b.path, n)
}

// finish sorts the folders and numbers the nodes. A node that has not changed since the layout
// before keeps its time, because the kernel caches a folder's listing until its time changes.
func (b *builder) finish(now time.Time) *Layout {
	for _, d := range b.dirs {
		f := d.folder
		slices.SortFunc(f.entries, func(x, y *Node) int { return cmp.Compare(x.Name, y.Name) })
	}
	b.number()
	for id, n := range b.layout.nodes {
		n.When = now.UnixNano()
		if b.before == nil {
			continue
		}
		if old := b.before.nodes[id]; old != nil && old.Target == n.Target && (old.Lost() == nil) == (n.Lost() == nil) && sameEntries(old, n) {
			n.When = old.When
		}
	}
	return b.layout
}

// sameEntries reports whether two folders have the same entries. Those of a mirror are the same if
// those of the folder are that it mirrors.
func sameEntries(x, y *Node) bool {
	if x.folder == nil || y.folder == nil {
		return x.folder == y.folder
	}
	if x.folder.mirror != nil && y.folder.mirror != nil && !slices.EqualFunc(x.folder.mirror.of.folder.entries, y.folder.mirror.of.folder.entries, sameMirrored) {
		return false
	}
	return (x.folder.mirror == nil) == (y.folder.mirror == nil) && slices.EqualFunc(x.folder.entries, y.folder.entries, sameEntry)
}

// sameEntry reports whether an entry of a folder is the same in two layouts.
func sameEntry(x, y *Node) bool {
	if x.Volume == nil || y.Volume == nil {
		return x.Name == y.Name && x.Volume == y.Volume && x.number == y.number
	}
	return x.Name == y.Name && x.Volume.Slot == y.Volume.Slot && x.number == y.number
}

// number gives inode numbers to the nodes. If a node belongs to no volume, its inode
// number is also its id. Such a node keeps its id if it was in the layout before. If the hashes of several new nodes lead
// to one id, the node with the lowest cookie gets it, and the others get the next free ones.
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
		for _, n := range d.folder.entries {
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
			n.number, nodes[id] = uint64(id), n
		}
	}
	for _, n := range fresh {
		id := viewID(n.Cookie)
		for ; nodes[id] != nil; id = viewID(uint64(id) + 1) {
			if other := nodes[id]; !kept(other, id) && n.Cookie < other.Cookie {
				n.number, nodes[id], n = uint64(id), n, other
			}
		}
		n.number, nodes[id] = uint64(id), n
	}
}

// lose records why a folder may have more entries than are known.
func (b *builder) lose(path string, why error) {
	if d := b.dir(path); d != nil {
		d.folder.lost = why
	}
}
