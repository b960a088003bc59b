// Package resolve opens files of this host by path, without a request to a thintree mount
// that may in turn wait for this process. A thintree mount is called a tree.
//
// A process that serves a tree reads files of this host to answer requests. If the path of
// such a file leads into the tree itself, the process waits for its own answer, in the
// kernel, where even SIGKILL does not reach it. The same happens to two processes whose
// trees are mounted over each other's files. So a process calls [Seal] before it mounts its
// tree. From then on this package enters only trees that paths led through before. These
// trees are older, so nothing in them depends on the new one. A path into any other tree is
// a [TreeError].
//
// The package walks a path name by name. It opens each name with O_PATH, which sends a
// request only to the filesystem of the parent folder. Then it asks on which device the
// result is, which sends no request to any filesystem. So it sees where a tree begins
// before it looks up anything in the tree, whenever the tree was mounted.
//
// The package also follows symbolic links itself. [Open], [Stat] and [Real] follow them as
// the kernel does. [Within] follows them as if the process had called chroot(2) on a
// folder. [At] refuses them.
//
// The sources are path_resolution(7), openat2(2), statx(2) and
// proc_pid_mountinfo(5).
package resolve
