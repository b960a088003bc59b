// Package reader reads thin pools in this process, without device-mapper and without
// changing them.
//
// A [Pool] is opened by its two halves, files or block devices: its metadata are read by
// package pdata, its data from where they lie. A [Device] of it is bytes of an exact length
// with holes. A pool may be active in the kernel meanwhile: how it is read then is said at
// Pool.
//
// The sources are the kernel's thin-provisioning.rst and drivers/md/dm-thin-metadata.c.
package reader
