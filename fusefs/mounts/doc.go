// Package mounts is about the places of this host at which trees are mounted: what
// is mounted there, whether its process is still running, and how it is unmounted. It
// serves nothing; package fusefs does.
//
//   - Before a mount: [Prepare] checks the folder and removes a dead mount from it,
//     [CheckPermitted] checks that this user can mount there, [CheckApart] that the tree
//     would not hide what it is made of.
//   - At any time: [Find] looks a path up in the mount table, [AwaitUnmount] waits until
//     a tree is no longer in it.
//   - To end a mount: [Unmount] is `thintree umount`, [RemoveDead] is for the watchdog.
//     An [Entry] is unmounted by [Entry.Detach]. Its [Connection] frees processes that
//     wait for a tree that does not answer.
//
// # Dead mounts
//
// The kernel keeps a FUSE mount when the process that served it has ended. Such a mount
// is dead: each access to it fails with ENOTCONN. It stays until somebody unmounts it.
//
// A tree that is not dead may still not answer. So this package asks a tree nothing
// except statfs(2), and that with a time limit.
//
// # Sources
//
// proc_pid_mountinfo(5), umount(2), fusermount3(1), and for connections
// Documentation/filesystems/fuse.rst of Linux.
package mounts
