// Package tree is what people see, without FUSE: it answers about node ids.
//
// # From a path to bytes
//
// A [Tree] is made from sources (package meta), which name the volumes. Package layout lays
// out their names as folders and links: that layout is never changed, only replaced when the
// sources change. Below volumes/<name> begins the filesystem in the volume: package volume
// opens its device, recognises what lies there, and chooses the engine that reads it.
//
// # Open and peek
//
// A volume is opened when a caller walks into it, and closed when it has been idle for some
// time: package lease decides which are open. Lists must open nothing, and a copy must be
// true all the same. So what a list asks of a volume (the attributes of its root, and of the
// folder that containers/ and images/ point at) is read in a peek.
//
// # Changes
//
// One goroutine, the keeper, looks whether the sources changed: see keeper.go. Requests load
// the layout that it made.
package tree
