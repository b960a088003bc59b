// Package thin manages pools and thin devices in the kernel. It needs root.
//
// A [Kernel] creates, activates, grows and deactivates pools. A [Pool] creates, snapshots,
// activates and deletes devices. A thin device is an id in the pool, whether or not it is active.
// While it is active, it also is a device-mapper device, which has a name.
//
// Package reader reads a pool without the kernel.
//
// The source is the kernel's thin-provisioning.rst: it describes pools, and their table, messages
// and status.
package thin
