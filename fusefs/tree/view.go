package tree

import (
	"cmp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// view is all that the sources name, as folders and links: everything in the
// tree above the files of the volumes. It is never changed once it is built.
type view struct {
	root  *node
	nodes map[NodeID]*node // but for those of volumes, which are slots
	users map[*volume]users
	parts []section // by source
}

// section is what a view has of one source.
type section struct {
	folder   string // "" where it is the only source
	pools    []*pool
	deleted  []*volume // are in no folder, but have their info
	warnings []error
}

// users are the names of the containers and images that a volume is of.
type users struct{ containers, images []string }

// node is one entry of a view: a folder, a link to or into a volume, a volume or
// what is shown of one, or a pool's info.
type node struct {
	id      NodeID
	name    string
	parent  *node
	entries []*node // of a folder, by name
	listing []*node // the same, by cookie
	cookie  uint64  // resumes a listing after it; a hash of its path
	when    int64   // when it last changed, in nanoseconds since 1970
	target  string  // of a link
	root    *fsRoot // of a volume, its raw image, partitions' images and info
	pool    *pool   // of a pool's info
	lost    error   // why a folder may have more entries than are known; nil where it has not
}

// fileType is the S_IFMT bits of a node's mode.
func (n *node) fileType() uint32 {
	switch {
	case n.target != "":
		return syscall.S_IFLNK
	case n.pool != nil || n.root != nil && (n.id.ino() == rawIno || n.id.ino() == infoIno):
		return syscall.S_IFREG
	}
	return syscall.S_IFDIR
}

// child finds an entry of a folder by its name, nil where there is none.
func (n *node) child(name string) *node {
	i, ok := slices.BinarySearchFunc(n.entries, name, func(e *node, name string) int { return cmp.Compare(e.name, name) })
	if !ok {
		return nil
	}
	return n.entries[i]
}

// path is the node's path in the tree, without a slash at its start.
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	if up := n.parent.path(); up != "" {
		return up + "/" + n.name
	}
	return n.name
}

// builder makes a view.
type builder struct {
	view *view
	// dirs are the folders made so far, by path, and names what is in them.
	dirs  map[string]*node
	names map[*node]map[string]*node
	// fresh are the volumes that the view before did not have, and counts is how
	// many volumes there are by their place.volume.
	fresh  []*volume
	beside []*volume // the same, of a device id that others have too
	counts map[uint64]int
}

// newBuilder begins a view of about count volumes, each of which is a link too.
func newBuilder(count int) *builder {
	root := &node{id: RootID}
	nodes := make(map[NodeID]*node, count)
	nodes[RootID] = root
	return &builder{
		view:   &view{root: root, nodes: nodes, users: make(map[*volume]users)},
		dirs:   map[string]*node{"": root},
		names:  map[*node]map[string]*node{root: {}},
		counts: make(map[uint64]int, count),
	}
}

// dir is the folder at a path, made with those above it where it is missing;
// nil where something else has that name.
func (b *builder) dir(path string) *node {
	if d := b.dirs[path]; d != nil {
		return d
	}
	up, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		up, name = path[:i], path[i+1:]
	}
	d := &node{name: name}
	if !b.put(b.dir(up), path, d) {
		return nil
	}
	b.dirs[path] = d
	b.names[d] = make(map[string]*node)
	return d
}

// expect makes a folder that will hold about count entries.
func (b *builder) expect(path string, count int) {
	if d := b.dir(path); d != nil && len(d.entries) == 0 {
		b.names[d] = make(map[string]*node, count)
		d.entries = make([]*node, 0, count)
	}
}

// put adds a node to a folder, or tells that its name is taken there.
func (b *builder) put(parent *node, path string, n *node) bool {
	if parent == nil || b.names[parent][n.name] != nil {
		return false
	}
	n.parent = parent
	n.cookie = max(hashOf(path)&^fileBit, dotDotCookie+1)
	b.names[parent][n.name] = n
	parent.entries = append(parent.entries, n)
	return true
}

// add puts a node in a folder under a name of which slashes make folders, or
// under name@tag where that is taken, by a folder or by another of the same name.
// It gives the name that it took; "" where both are taken.
func (b *builder) add(under, name, tag string, n *node) string {
	for _, try := range []string{name, name + "@" + tag} {
		path := join(under, try)
		up := ""
		n.name = path
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			up, n.name = path[:i], path[i+1:]
		}
		if b.put(b.dir(up), path, n) {
			return try
		}
	}
	return ""
}

// build gives the view. What is as it was in the view before has the time that it
// had there: the kernel keeps a folder's listing as long as that stays.
func (b *builder) build(before *view, now time.Time) *view {
	for _, d := range b.dirs {
		slices.SortFunc(d.entries, func(x, y *node) int { return cmp.Compare(x.name, y.name) })
		d.listing = slices.Clone(d.entries)
		slices.SortFunc(d.listing, func(x, y *node) int { return cmp.Compare(x.cookie, y.cookie) })
	}
	b.number(before)
	for id, n := range b.view.nodes {
		n.when = now.UnixNano()
		if before == nil {
			continue
		}
		same := func(x, y *node) bool { return x.id == y.id && x.name == y.name }
		if old := before.nodes[id]; old != nil && old.target == n.target && (old.lost == nil) == (n.lost == nil) && slices.EqualFunc(old.entries, n.entries, same) {
			n.when = old.when
		}
	}
	return b.view
}

// number gives ids to what lies in no volume. Where several want one, the lowest cookie
// has it, and the others those that follow; but what was in the view before keeps its
// own.
func (b *builder) number(before *view) {
	nodes := b.view.nodes
	kept := func(n *node, id NodeID) bool {
		if before == nil {
			return false
		}
		old := before.nodes[id]
		return old != nil && old.cookie == n.cookie && old.name == n.name
	}
	var fresh []*node
	for _, d := range b.dirs {
		for _, n := range d.entries {
			if n.root != nil {
				continue
			}
			id := viewID(n.cookie)
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
		id := viewID(n.cookie)
		for ; nodes[id] != nil; id = viewID(uint64(id) + 1) {
			if other := nodes[id]; !kept(other, id) && n.cookie < other.cookie {
				n.id, nodes[id], n = id, n, other
			}
		}
		n.id, nodes[id] = id, n
	}
}

// lose notes of a folder that it may have more entries than are known.
func (b *builder) lose(path string, why error) {
	if d := b.dir(path); d != nil {
		d.lost = why
	}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// validName tells whether a name can be a path below a folder of the tree: no
// component of it is empty, "." or "..", or too long, and none holds a NUL.
func validName(name string) bool {
	for c := range strings.SplitSeq(name, "/") {
		if c == "" || c == "." || c == ".." || len(c) > 255 || strings.ContainsRune(c, 0) {
			return false
		}
	}
	return true
}
