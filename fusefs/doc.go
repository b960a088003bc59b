// Package fusefs mounts a tree (package fusefs/tree) and answers the kernel's FUSE
// requests for it.
//
// # Files
//
//   - mount.go, readahead.go, runtime.go: the mount, its options, and what makes this
//     process and the kernel fast. What is mounted where is package fusefs/mounts.
//   - server.go: one method for each kind of request, and how long the kernel may cache
//     the answer.
//   - await.go, buffer.go: requests whose work may wait in the kernel.
//   - caller.go: what is known about the thread that made a request.
//   - handles.go: open files.
//   - passthrough.go: files that the kernel reads without asking this process.
//   - unmount_request.go: the ioctl of `thintree umount --volume`, both ends.
//
// # Decisions
//
// The package uses go-fuse's raw API. Its node API keeps about 0.9 KB for each inode that
// the kernel knows. A tree's node ids are computed, so that table is not needed, and
// FORGET is a no-op.
//
// The kernel caches without limit what cannot change: names (also names that do not
// exist), attributes, folders and pages. They stay cached when the volume is closed, as
// its node ids stay valid. What can change is cached for a second: the views, and a volume
// that its owner uses. The targets of links are not cached: the kernel would keep such a
// target as long as the link's inode, whatever lifetime the answer has.
//
// Folders are not opened. That spares two requests for each folder, and the kernel caches
// a listing until the folder's mtime changes. The mtime of a view is the time of its last
// change.
//
// If the kernel can pass files through, it reads the files of volumes that it has mounted
// for the tree without asking this process. Then there is one page cache, the mounted
// filesystem's. Other files are read by this process, and the kernel caches their pages.
// [tree.Tree.Evict] says what this means for closing a volume.
//
// `thintree umount --volume` reaches the process that serves the tree by an ioctl of the
// tree's root folder. The kernel says which user sent it, and there is no socket whose
// place and permissions would have to be right.
//
// READDIRPLUS always returns the attributes of a volume's files. The kernel could choose
// between READDIR and READDIRPLUS, but it chooses before a program has looked at a file:
// find, tar and rsync read all names first. For 40,000 files in one folder, find with
// sizes takes 1.3 s if the kernel chooses, as it then asks for each file separately, and
// 0.25 s otherwise. Names alone take 0.04 s and 0.18 s: the difference is mostly the time
// in which the kernel makes its inodes.
//
// READDIRPLUS of a view returns no attributes (node id 0). The attributes of a volume's
// root are read when a program asks for them, not when a program lists its name.
package fusefs
