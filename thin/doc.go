// Package thin is pools and thin devices.
//
// Two ways lead to them. A [PoolReader] reads a pool in this process, without
// device-mapper: its metadata by package pdata, its data from the file or block
// device they lie on. A thin device of it, a [DeviceReader], is bytes of an exact
// length with holes.
//
// A [Kernel] has the kernel do it, as root: pools are created, activated, grown
// and deactivated, and in a [Pool] devices are created, snapshot, activated and
// deleted. A thin device is an id in the pool, whether or not it is active; a
// device-mapper device of a name of its own is there only while it is.
//
// The kernel's thin-provisioning.rst says what a pool is, and what its table,
// messages and status are; how a live one has to be read is said at [PoolReader].
package thin
