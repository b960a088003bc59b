// Package dmtest is a fake device-mapper for tests. It answers the ioctls of package dm as
// the kernel does, from memory, and does no I/O.
//
// It has the targets linear, error, snapshot, thin-pool and thin. The contents of a pool's
// metadata device live as long as the [Kernel]. A test plays the rest of the system: it
// opens and closes devices as a mount does, writes blocks, puts a pool into a failed mode,
// and makes single ioctls fail.
//
// It follows drivers/md/dm.c, dm-ioctl.c, dm-table.c, dm-thin.c and dm-thin-metadata.c of
// Linux 6.1. The list of commands in [Sequence] runs both over this package and, in the
// tests' guest, over the kernel. The results must be the same.
package dmtest
