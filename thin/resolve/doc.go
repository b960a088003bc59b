// Package resolve finds files of this host by their paths, without ever asking a
// tree of thintree's that may wait for the process that asks.
//
// A process that serves a tree reads files of this host while somebody waits for
// it. If a path of such a file leads into the tree itself, the process waits for
// its own answer, in the kernel, where not even SIGKILL reaches it. The same
// happens to two processes whose trees lie over each other's files. So a process
// calls [Seal] before it mounts its tree, and from then on what this package does
// enters no tree but those that paths led through before: these are older, and
// nothing in them depends on the new one. To enter another is a [TreeError].
//
// Paths are walked by hand, one name after the other. To open a name as a place
// (O_PATH) asks no filesystem but the one that its folder is in, and to ask which
// device a place is on asks none at all. So where a mounted tree begins is seen
// before anything in it is looked up, whenever it was mounted.
//
// Links are followed by hand too. They lead where they do on this host
// ([Open], [Stat], [Real]), or nowhere out of a folder, as if the process had called
// chroot(2) on it ([Within]), or are refused ([At]).
//
// The sources are path_resolution(7), openat2(2), statx(2) and
// proc_pid_mountinfo(5).
package resolve
