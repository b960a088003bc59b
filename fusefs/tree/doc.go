// Package tree is the tree of files that users see. It knows nothing of FUSE: requests name
// nodes by their ids.
//
// # From a path to bytes
//
// A [Tree] is made from sources (package meta), which name the volumes. Package layout arranges
// their names as folders and links. A layout never changes: a new one replaces it when the
// sources change. volumes/<name> is the root of the filesystem in a volume: package volume
// opens the device, recognises what is on it, and chooses the engine that reads it.
//
// # Open and peek
//
// A volume is opened when a caller enters it, and closed when it has been idle for some time.
// Package lease decides which volumes are open. A listing must not leave volumes open, but the
// attributes that it shows must be the right ones. So those that a listing needs (of a volume's
// root, and of the folder that containers/ and images/ point at) are read in a peek.
//
// # Changes
//
// One goroutine, the keeper, looks whether the sources have changed: see keeper.go. Requests
// use the newest layout that it made.
package tree
