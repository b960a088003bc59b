// Package loop attaches loop devices to files. The package thin/inuse finds attached ones.
//
// Every device is attached with autoclear: the kernel detaches it when its last descriptor
// is closed, so a process that dies leaves no device. A device has sectors of 512 bytes. It
// uses direct I/O, past the page cache, if the file's filesystem allows that with such
// sectors.
//
// A device is identified by its number, unix.Mkdev(7, minor), and a file by its device and
// inode number, because the names of both may change. This package opens the nodes that
// devtmpfs or udev makes in /dev; it makes none. The /dev of a container may lack the node
// of a device: that is a [NodeError].
//
// The sources are loop(4), the kernel's include/uapi/linux/loop.h and
// drivers/block/loop.c, and its Documentation/ABI (sysfs-block, sysfs-block-loop).
package loop
