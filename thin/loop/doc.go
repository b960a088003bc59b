// Package loop puts loop devices over files, and finds those that are there.
//
// Every device is attached with autoclear: the kernel detaches it when the last
// descriptor of it is closed, so none is left behind by a process that dies. It
// has sectors of 512 bytes wherever its file lies, and reads and writes past the
// page cache where the file's filesystem allows that with such sectors.
//
// A device is told by its number, as unix.Mkdev(7, minor) gives it, and a file by
// its filesystem and inode number: the names of both mean little. A device's node
// is looked for in /dev, where devtmpfs or udev makes it; none is made here. A
// container can have a /dev of its own that lacks it: that is a [NodeError].
//
// The sources are loop(4), the kernel's include/uapi/linux/loop.h and
// drivers/block/loop.c, and its Documentation/ABI (sysfs-block, sysfs-block-loop).
package loop
