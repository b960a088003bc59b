// Package inuse says who uses a file or block device of this host: loop devices over it,
// devices stacked on it, and mounts. A user of another host, or inside a virtual machine, is not
// seen.
//
// Two questions are asked. [By] answers a reader: may the bytes change while they are read?
// [ByAnother] answers whoever is about to write: would somebody be disturbed? It counts mounts and
// what has a device open exclusively as well.
//
// A file is identified by its device and inode number, because its path may change.
//
// The sources are loop(4), the kernel's include/uapi/linux/loop.h, and its Documentation/ABI
// (sysfs-block, sysfs-block-loop).
package inuse
