package layout

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"thintree/volfs"
)

// Node is one entry of a layout: a folder, a link, the root, image or info of a volume, the folder
// of its partitions' images, or the info of a pool.
type Node struct {
	Name   string
	Parent *Node // nil for the root
	// Cookie resumes a listing of Parent after the node. It is a hash of the path, higher than
	// DotDotCookie.
	Cookie uint64
	// When is the time of its last change, in nanoseconds since 1970.
	When   int64
	Target string  // the target of a link; otherwise ""
	Volume *Volume // the volume that the node belongs to; nil if none

	// number is the inode number in the tree if Volume is nil. Otherwise it is that beside the
	// volume's filesystem: 0, RawIno, PartsIno or InfoIno.
	number uint64
	folder *folder // nil unless it is a folder of the layout, or a pool's info
}

// folder is what only the folders of a layout have, and the infos of pools: most nodes are
// neither.
type folder struct {
	pool    Pool    // if it is a pool's info
	entries []*Node // by name; see Node.entries
	lost    error   // see Node.Lost

	mirror     *mirror   // nil if it is none
	reflecting sync.Once // makes the entries of a mirror
	made       []*Node   // entries, with those of the mirror

	sorting sync.Once // sorts listing when the folder is first listed: many never are
	listing []*Node   // by cookie
}

// byCookie are the entries by cookie.
func (f *folder) byCookie(entries []*Node) []*Node {
	f.sorting.Do(func() {
		f.listing = slices.Clone(entries)
		slices.SortFunc(f.listing, func(x, y *Node) int { return cmp.Compare(x.Cookie, y.Cookie) })
	})
	return f.listing
}

// Pool is the pool if this is a pool's info, otherwise nil.
func (n *Node) Pool() Pool {
	if n.folder == nil {
		return nil
	}
	return n.folder.pool
}

// Lost is why a folder may have more entries than are known, nil if all are known.
func (n *Node) Lost() error {
	if n.folder == nil {
		return nil
	}
	return n.folder.lost
}

// entries are the entries of a folder by name, none of another node.
func (n *Node) entries() []*Node {
	if n.folder == nil {
		return nil
	}
	if n.folder.mirror != nil {
		n.folder.reflect(n)
		return n.folder.made
	}
	return n.folder.entries
}

// The cookies of the first two entries of each folder of a layout.
const (
	DotCookie = 1 + iota
	DotDotCookie
)

// ID is the node's id.
func (n *Node) ID() NodeID {
	if n.Volume != nil {
		return n.Volume.Slot.ID(volfs.Ino(n.number))
	}
	return NodeID(n.number)
}

// InodeNumber is the inode number in the tree.
func (n *Node) InodeNumber() uint64 {
	if n.Volume != nil {
		return n.Volume.Slot.inodeNumber(volfs.Ino(n.number))
	}
	return n.number
}

// isBeside reports whether the node is one of those beside a volume's filesystem.
func (n *Node) isBeside(ino volfs.Ino) bool { return n.Volume != nil && n.number == uint64(ino) }

// IsParts reports whether the node is the folder of the images of a volume's partitions. The tree
// shows it only if the volume has partitions.
func (n *Node) IsParts() bool { return n.isBeside(PartsIno) }

// FileType is the S_IFMT bits of the node's mode.
func (n *Node) FileType() uint32 {
	switch {
	case n.Target != "":
		return syscall.S_IFLNK
	case n.Pool() != nil || n.isBeside(RawIno) || n.isBeside(InfoIno):
		return syscall.S_IFREG
	}
	return syscall.S_IFDIR
}

// Child returns the entry of a folder with a name, nil if there is none.
func (n *Node) Child(name string) *Node {
	entries := n.entries()
	i, ok := slices.BinarySearchFunc(entries, name, func(e *Node, name string) int { return cmp.Compare(e.Name, name) })
	if !ok {
		return nil
	}
	return entries[i]
}

// After returns the entries of a folder after a cookie, in the order of listings.
func (n *Node) After(cookie uint64) []*Node {
	if n.folder == nil {
		return nil
	}
	listing := n.folder.byCookie(n.entries())
	from, _ := slices.BinarySearchFunc(listing, cookie+1, func(e *Node, c uint64) int { return cmp.Compare(e.Cookie, c) })
	return listing[from:]
}

// Path is the node's path in the tree, without a leading slash.
func (n *Node) Path() string {
	if n.Parent == nil {
		return ""
	}
	return Join(n.Parent.Path(), n.Name)
}

// Join is the path of a name in the folder dir, which is "" for the root.
func Join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// cleanParts returns the names in a path after it was cleaned: none is "", "." or "..".
func cleanParts(p string) []string {
	p = path.Clean("/" + p)[1:]
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}
