// Package extract copies files and folders out of a tree (fusefs/tree), as
// cp -a does: holes, links, modes, owners, times, extended attributes and ACLs
// are kept; what the user may not keep, or DEST's filesystem cannot hold, is counted,
// and the latter is logged.
//
// # A tree may be hostile
//
// Below DEST nothing is found by a path. Every folder is open, and whatever is
// made in it is made relative to it and never through a link, so a link that was
// just copied cannot lead a later file out of DEST. A name that is none (with a
// slash, "..") is left out. A folder is copied once, so folders that contain
// each other end; depth costs a little memory and no stack.
//
// # Nothing false
//
// What is no folder is made under a temporary name, and renamed when it is whole,
// with all its attributes. So a file that is there has the bytes that the tree
// has; one that cannot be read is not there, is counted and is logged.
//
// # Order
//
// Bytes, owner, extended attributes, mode, ACLs, times: a write or a change of
// the owner clears the set-user-ID bit and security.capability, a mode may deny
// its own owner the user.* attributes, an ACL is part of the mode, and all of it
// changes the times. Folders get theirs after what is in them.
package extract
