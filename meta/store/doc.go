// Package store is the source store:DIR: a store with a record of each device and a pool.
// Docker's devicemapper driver has such a store in the folder devicemapper of its root, and
// thintree makes them too. Package record describes the layout. The pool is in two files in
// the store, or on devices that the caller names, or it is known by the name of its active
// device-mapper device only. In the last case it is not known here whether a transaction is
// under way, so no volume is shown as half-made.
//
// A volume's name is the hash of its device; the base device's is "base". The records do
// not say what a volume is for, or in which folder its files are, so each volume is shown
// from its own root. Only init volumes are recognised, by their names: the name of another
// volume and "-init".
//
// The roots of Docker and of containers/storage have a store and further records. [Records],
// [SetOrigins] and [BreakLoops] are the part that the packages docker, storage and containerd share. Package record describes the format of the records.
package store
