package layout

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"syscall"

	"thintree/volfs"
)

// Node is one entry of a layout: a folder, a link to or into a volume, a volume or what is
// shown of one, or a pool's info.
type Node struct {
	Name   string
	Parent *Node // nil of the root
	// Cookie resumes a listing of Parent after the node. It is a hash of the path, higher than
	// DotDotCookie.
	Cookie uint64
	// When is when it last changed, in nanoseconds since 1970.
	When   int64
	Target string  // of a link
	Volume *Volume // of a volume's root, image, partitions' images and info
	Pool   Pool    // of a pool's info
	// Lost is why a folder may have more entries than are known; nil if it has not.
	Lost error

	id      NodeID    // of what is no volume's
	ino     volfs.Ino // of what is a volume's: 0, RawIno, PartsIno or InfoIno
	entries []*Node   // of a folder, by name
	listing []*Node   // the same, by cookie
}

// The cookies of the first two entries of each folder in no volume.
const (
	DotCookie = 1 + iota
	DotDotCookie
)

// ID is the node's id.
func (n *Node) ID() NodeID {
	if n.Volume != nil {
		return n.Volume.Slot.ID(n.ino)
	}
	return n.id
}

// InodeNumber is what stat(2) shows.
func (n *Node) InodeNumber() uint64 {
	if n.Volume != nil {
		return n.Volume.Slot.InodeNumber(n.ID())
	}
	return uint64(n.id)
}

// IsParts reports whether the node is the folder of images of a volume's partitions, which
// is shown only if the volume has some.
func (n *Node) IsParts() bool { return n.Volume != nil && n.ino == PartsIno }

// FileType is the S_IFMT bits of the node's mode.
func (n *Node) FileType() uint32 {
	switch {
	case n.Target != "":
		return syscall.S_IFLNK
	case n.Pool != nil || n.Volume != nil && (n.ino == RawIno || n.ino == InfoIno):
		return syscall.S_IFREG
	}
	return syscall.S_IFDIR
}

// Child is the entry of a folder with a name, nil if there is none.
func (n *Node) Child(name string) *Node {
	i, ok := slices.BinarySearchFunc(n.entries, name, func(e *Node, name string) int { return cmp.Compare(e.Name, name) })
	if !ok {
		return nil
	}
	return n.entries[i]
}

// After are the entries of a folder behind a cookie, in the order of listings.
func (n *Node) After(cookie uint64) []*Node {
	from, _ := slices.BinarySearchFunc(n.listing, cookie+1, func(e *Node, c uint64) int { return cmp.Compare(e.Cookie, c) })
	return n.listing[from:]
}

// Path is the node's path in the tree, without a slash at its start.
func (n *Node) Path() string {
	if n.Parent == nil {
		return ""
	}
	return Join(n.Parent.Path(), n.Name)
}

// Join is the path of a name in a folder, which is "" for the root.
func Join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// cleanParts are the names in a path, none of which is "", "." or "..".
func cleanParts(p string) []string {
	p = path.Clean("/" + p)[1:]
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// validName reports whether a name can be a path below a folder of the tree: no
// component of it is empty, "." or "..", or too long, and none holds a NUL.
func validName(name string) bool {
	for c := range strings.SplitSeq(name, "/") {
		if c == "" || c == "." || c == ".." || len(c) > 255 || strings.ContainsRune(c, 0) {
			return false
		}
	}
	return true
}
