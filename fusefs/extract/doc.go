// Package extract copies files and folders out of a tree (package fusefs/tree) to a path
// DEST of this host, as `cp -a` does. It keeps holes, links, modes, owners, times, extended
// attributes and ACLs. It uses the tree's exported methods only, and neither FUSE nor a
// mount.
//
// # Parts
//
//   - extract.go: [Copy] and its options; size.go: [Size], the total for a progress bar.
//   - source.go: what is copied from. A source is a tree, or a fake in tests; a listing
//     reads a folder of it in batches.
//   - copier.go, walk.go: the order of work. One goroutine, the walker, goes from folder
//     to folder; workers copy the files in them.
//   - folder.go, destpath.go: open folders below DEST, and how names are given there.
//   - node.go, content.go, attributes.go, link.go: how one file is made, its bytes, its
//     attributes, and its other names.
//   - result.go, loss.go, errors.go: what was not copied. There are three kinds.
//     Unreadable: the tree cannot be read, or DEST cannot have such a file; the entry is
//     left out. Not permitted: the user may not set something; it is counted. Not held:
//     DEST's filesystem cannot hold something; it is counted and logged. Any other error
//     ends the copy.
//
// # Hostile trees
//
// Below DEST nothing is opened by its whole path. Every folder is open, and files are made
// relative to it, never through a link. So a link that was just copied cannot lead a later
// file out of DEST. An entry whose name is not a file name (with a slash, "..") is left
// out. Each folder is copied once, so folders that contain each other end. Deep folders
// cost a little memory and no stack.
//
// # Whole files only
//
// A file is made under a temporary name, and renamed when its bytes and attributes are
// complete. So each file below DEST has the bytes that the tree has. A file that cannot be
// read is not there; it is counted and logged.
//
// # Order of attributes
//
// The order is: bytes, owner, extended attributes, mode, ACLs, times. A write or a change
// of the owner clears the set-user-ID bit and security.capability. A mode can deny the
// owner access to the user.* attributes. An ACL changes the mode. All of them change the
// times. A folder gets its attributes after everything in it was copied.
package extract
