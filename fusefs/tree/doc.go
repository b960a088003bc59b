// Package tree is what people see, without FUSE: the views of volumes,
// containers and images, the files in the volumes, and which volumes are open.
//
// # From a path to bytes
//
// A [Tree] is made from sources (package meta), which name the volumes. Their
// names are laid out in a view, which is never changed, only replaced when the
// sources change. Below volumes/<name> begins the filesystem in the volume:
// package thin opens its device for reading, volfs/probe recognises what is on
// it, and a reader behind [volfs.FS] answers.
//
// # Node ids
//
// A [NodeID] is computed, not kept. In a volume it is the volume's slot and the
// inode number, in the views a hash of the path. So there is no table of what
// the callers know, nothing to forget, and memory does not grow with the files
// that are walked. Inode numbers are computed in the same way from what does not
// change between mounts: see inode.go.
//
// # Open and peek
//
// A volume is opened when somebody walks into it, and closed when it has been
// idle for some time: see lease.go. Lists must open nothing, and a copy must be
// true all the same; so what a list asks of a volume (the attributes of its root
// and of the folder that containers/ and images/ point at) is read in a peek,
// which opens the volume for these few blocks and lets it go at once: peek.go.
package tree
