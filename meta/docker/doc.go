// Package docker is the source docker:DIR: a Docker root with the devicemapper driver. It
// names the volumes of image layers and containers, which are in one pool.
//
// # What is shown
//
// A volume's name is the hash of its device; the base device's is "base". A container has
// its name, or none if its config.v2.json is lost. An image has its repository:tag names;
// if it has none, its repository@digest names, if any. An image without layers (FROM
// scratch) has no volume and is left out, as are containers of other storage drivers.
//
// All of Docker's names are valid paths. A name that is not a valid path is damage, and
// dropped.
//
// # Where the pool is
//
// The pool is the one that the caller names; otherwise it is in files in the root. Otherwise
// it is a device-mapper device: the one that Docker made on a block device
// (dm.directlvm_device, recorded in setup-config.json), or the one that the host's
// configuration names (dm.thinpooldev in /etc/docker/daemon.json). That configuration is read
// only if the root is at its usual place, /var/lib/docker, in the system with the
// configuration, also if that system is mounted below another folder.
//
// # Source
//
// The records are those of Docker 1.10 to 24. Its code for devices is
// daemon/graphdriver/devmapper; for layers layer/filestore.go; for images image/fs.go and
// reference/store.go; for containers container/container.go. The chain id of an image's
// layers identifies its volume: see the OCI image specification (config.md, "Layer
// ChainID").
package docker
