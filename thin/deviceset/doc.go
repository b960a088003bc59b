// Package deviceset keeps thin devices by name: Docker's DeviceSet and Driver.
//
// A [DeviceSet] is a folder, the store, with a pool and a JSON record of each
// device (package meta/record). All begin as a snapshot of one that has a
// filesystem, the base device. A [Driver] on it has what a container engine asks
// for: volumes that are mounted while somebody uses them.
//
// What changes a record and the pool at once is a transaction. It is written
// down first, with the pool's transaction id after it; then the device is created
// or deleted; then the pool gets that id. So whoever opens the store sees which
// transaction was under way when its owner died, and ends or undoes it.
//
// The layout, the options' names and the order of the steps are those of
// daemon/graphdriver/devmapper of Docker 24, so a store that Docker made opens
// here.
package deviceset
