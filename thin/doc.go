// Package thin is pools and thin devices.
//
// A [PoolReader] reads a pool in this process, without device-mapper: its
// metadata by package pdata, its data from the file or block device they lie on.
// A thin device of it, a [DeviceReader], is bytes of an exact length with holes.
//
// The kernel's thin-provisioning.rst says what a pool is; how a live one has to
// be read is said at [PoolReader].
package thin
