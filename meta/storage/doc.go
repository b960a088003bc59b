// Package storage is the source storage:DIR: a root of containers/storage with the
// devicemapper driver. Podman, CRI-O and Buildah kept their images and containers there. It
// names the volumes of layers and containers, which are in one pool.
//
// # What is shown
//
// A volume's name is the id of its layer; the base device's is "base". A container may have
// several names: each is a [meta.Container] with the same ID. A container and an image
// without names have their ids only. An image without layers has no volume and is left out.
// A layer that was incomplete when its maker stopped is half-made.
//
// # What is not
//
// Names that an image had before, and digests that are no part of its names. What the
// programs on top say of containers (state, command, mounts) is in databases of their own.
// If all containers are transient, their records are in the run root, not in the root.
//
// The driver has no additional image stores: it ignores the option additionalimagestores. So
// all its layers are in the one root.
//
// # Where the pool is
//
// The pool is the one that the caller names; otherwise it is in files in the root; otherwise
// it is the device that the driver made on a block device (directlvm_device, recorded in
// setup-config.json). The option dm.thinpooldev of a pool that somebody else made stands in
// the configuration of the program on top, and is not read.
//
// # Source
//
// The records are those of containers/storage 1.0 to 1.48: layers.go, images.go,
// containers.go, and drivers/devmapper. Version 1.49 removed the driver.
package storage
