// Package containerd is the source containerd:DIR: a containerd root with the devmapper
// snapshotter. It names the volumes of snapshots, which are in one pool.
//
// # What is shown
//
// Each device that the snapshotter has is a volume with the device's name. A container is
// called NAMESPACE/ID, an image NAMESPACE/REFERENCE, and a snapshot NAMESPACE/KEY. Images
// that are not unpacked into this snapshotter have no volume and are left out, as are
// snapshots and containers of other snapshotters.
//
// A containerd root does not say where its pool's halves lie, only the pool's device-mapper
// name. So the pool must be active, or be named with --pool.
//
// # Databases
//
// There are three, and each names what is in the next. They are read in this order:
//
//   - meta.db has the namespaces with their images, containers and snapshots;
//   - metadata.db has the snapshotter's own snapshots, each with a number;
//   - POOL.db has the devices. That of the snapshot number 7 is called POOL-snap-7.
//
// containerd makes a device first and its name in a namespace last, each in a transaction of
// its own. With the order of reading above, what a new snapshot needs is found. A snapshot
// that is being made, committed or removed may for a moment be in only one of two databases.
// So Load reads databases that do not match again.
//
// # Source
//
// The records are those of containerd 1 and 2. Its schemas are in core/metadata/buckets.go,
// core/snapshots/storage/bolt.go, and plugins/snapshots/devmapper/{metadata,device_info}.go;
// the meaning of labels in core/metadata/gc.go. A container's spec is that of the OCI runtime
// specification, config.md.
package containerd
