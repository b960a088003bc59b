// Package dmtest is a device-mapper for tests: it answers the ioctls of package
// dm as the kernel does, from memory, and does no I/O.
//
// It has the targets linear, error, snapshot, thin-pool and thin. What a pool
// keeps on its metadata device lasts as long as the [Kernel]. A test plays the
// rest of the system: it opens and closes devices as a mount does, writes blocks,
// lets a pool fail, and makes single ioctls fail.
//
// It follows the kernel's drivers/md/dm.c, dm-ioctl.c, dm-table.c, dm-thin.c and
// dm-thin-metadata.c of 6.1. One list of commands, [Sequence], is run over it and,
// in the guest of the tests, over the kernel, with the same results.
package dmtest
