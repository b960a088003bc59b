// Package reader reads thin pools in this process. It needs no device-mapper, and changes
// nothing.
//
// A [Pool] is opened by its two halves, which are files or block devices. Package pdata reads the
// metadata. A [Device] of the pool reads as bytes of a given length with holes. The pool may be
// active in the kernel meanwhile: see Pool.
//
// The sources are the kernel's thin-provisioning.rst and drivers/md/dm-thin-metadata.c.
package reader
