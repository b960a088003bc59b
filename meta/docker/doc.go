// Package docker is the source docker:DIR: a Docker root with the devicemapper driver. It
// names the volumes of image layers and containers, which are in one pool.
//
// # What is shown
//
// A volume's name is the hash of its device; the base device's is "base". A container has
// its name, or none if its config.v2.json is lost, and what docker inspect shows of its state,
// command, labels and mounts. The state is the recorded one: of a host that stopped suddenly, a
// container may be "running" that is not. An image has its repository:tag names;
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
// The records are those of Docker 1.10 to 24, and of earlier ones, whose layout is another one
// (old.go). Of the many images of an earlier root, those are shown that docker images showed:
// not the layers of others. With userns-remap, the root is the folder UID.GID in the folder
// that Docker was given.
//
// Docker's code for devices is daemon/graphdriver/devmapper; for layers layer/filestore.go;
// for images image/fs.go and reference/store.go; for containers container/container.go and
// container/state.go. The chain id of an image's layers identifies its volume: see the OCI
// image specification (config.md, "Layer ChainID"). The code before Docker 1.10 is
// graph/graph.go, graph/tags.go and daemon/container.go.
package docker
