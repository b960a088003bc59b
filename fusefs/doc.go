// Package fusefs serves a tree (package fusefs/tree) through FUSE: requests come
// in, answers go out, with word of how long the kernel may keep them.
//
// # Decisions
//
// It is built on go-fuse's raw API. A tree's node ids are computed, so the table
// that go-fuse's node API keeps (about 0.9 KB for each inode that the kernel
// knows) is not needed, and FORGET has nothing to do.
//
// What cannot change is cached by the kernel without limit: names, also those
// that do not exist, attributes, folders and pages. They stay cached when the
// volume is closed, since its node ids stay valid. What can change, the views and
// all of a live volume, is cached for a second. What links say is not cached: the
// kernel would keep it as long as it keeps the link, whatever it is told.
//
// Folders are not opened: the kernel is told so, which spares two requests for
// each, and it keeps listings as long as a folder's mtime stays. A view's mtime is
// when it last changed.
//
// READDIRPLUS always gives the attributes of a volume's files along. (The kernel
// could choose, but asks for them at the beginning of a folder only, and then for
// each of the rest on its own.)
//
// Listing a folder of the views gives no attributes along (READDIRPLUS with node
// id 0): those of a volume's root are read when somebody asks for one, not
// because its name was listed.
package fusefs
