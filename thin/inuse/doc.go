// Package inuse finds the users of a file or block device of this host: loop devices over it,
// devices stacked on it, and mounts. A user of another host, or inside a virtual machine, is not
// seen.
//
// There are two questions. A reader asks [By] whether the bytes may change while they are read. A
// caller that is about to write asks [ByAnother] whether that would disturb somebody. That counts
// mounts, and programs that have a device open exclusively, as well.
//
// A file is identified by its device and inode number, because its path may change.
//
// The sources are loop(4), the kernel's include/uapi/linux/loop.h, and its Documentation/ABI
// (sysfs-block, sysfs-block-loop).
package inuse
