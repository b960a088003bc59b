// Package docker is a Docker root with the devicemapper driver as a source:
// docker:DIR. It names the volumes of image layers and containers, in one pool.
//
// # What is shown
//
// A volume is called by its device's hash, the base device "base". A container has
// its name, or none where its config.v2.json is lost. An image has its
// repository:tag names; one that has none of them, its repository@digest names;
// else none at all. An image without layers (FROM scratch) has no volume and is
// left out, as are containers of other storage drivers.
//
// Docker gives no name that cannot be a path: such a one is damage, and lost.
//
// # Source
//
// The records are those of Docker 1.10 to 24: of devices by
// daemon/graphdriver/devmapper, of layers by layer/filestore.go, of images by
// image/fs.go and reference/store.go, of containers by container/container.go.
// An image's layers lead to its volume by their chain id, of the OCI image
// specification (config.md, "Layer ChainID").
package docker
