// Package thin is the lifecycle of pools and thin devices in the kernel, as root.
//
// With a [Kernel] pools are created, activated, grown and deactivated, and in a [Pool]
// devices are created, snapshot, activated and deleted. A thin device is an id in the pool,
// whether or not it is active; a device-mapper device with a name of its own is there only
// while it is.
//
// To read a pool without the kernel is the job of package reader.
//
// The source is the kernel's thin-provisioning.rst: what a pool is, and what its table,
// messages and status are.
package thin
