// Package disk is the source disk:IMAGE: one disk image or block device. It holds a filesystem, or
// a partition table with filesystems or other volumes in its partitions.
package disk
