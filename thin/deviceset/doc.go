// Package deviceset manages thin devices by name, as Docker's DeviceSet and Driver do.
//
// A [DeviceSet] is a folder, the store. It has a pool, and a JSON record of each device
// (package meta/record). The base device has an empty filesystem; every other device starts
// as a snapshot of the base device or of another device. A [Driver] uses a DeviceSet for a
// container engine: it mounts a volume while the volume is in use.
//
// A change of both a record and the pool is a transaction. First a file records the
// transaction, with the pool's next transaction id. Then the device is created or deleted.
// Last, the pool's transaction id is set to the recorded one. So the next process that
// opens the store sees which transaction was under way when its owner died, and completes
// or undoes it.
//
// The layout, the names of the options and the order of the steps are those of
// daemon/graphdriver/devmapper of Docker 24. So this package can open a store that Docker
// made.
package deviceset
