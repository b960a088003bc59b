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
// Files of volumes that the kernel has mounted for the tree are passed through to
// it where it can that: it reads them by itself, and there is one page cache, that
// of its own filesystem. Others are read here, and their pages kept. What that means
// for who wants a volume closed is told at [tree.Tree.Evict].
//
// An ioctl of the tree's root folder is how `thintree umount --volume` reaches who
// serves it: it needs no socket whose place and permissions would have to be right,
// and tells who asks.
//
// READDIRPLUS always gives the attributes of a volume's files along. The kernel
// could choose, but it chooses before the lister has looked at a file: find, tar and
// rsync first read all names. With 40,000 files in one folder, find with their sizes
// takes 1.3 s if the kernel chooses, since it then asks for each file on its own, and
// 0.25 s otherwise. Names alone take 0.04 s and 0.18 s: the difference is mostly what
// the kernel needs to make its inodes.
//
// Listing a folder of the views gives no attributes along (READDIRPLUS with node
// id 0): those of a volume's root are read when somebody asks for one, not
// because its name was listed.
package fusefs
