// Package store is a store of thintree's own as a source: store:DIR. It is a
// folder as Docker's devicemapper driver has it in its root, under the name
// devicemapper: with a record for each device in metadata, and a pool, in the loop
// files devicemapper/metadata and devicemapper/data unless it lies elsewhere.
//
// A volume is called by its device's hash, the base device "base". What it is for
// and where the files in it begin nobody records: all are shown from their own
// root, and only one that is called as another and "-init" is known to lie between
// an image's layer and a container, as drivers name them.
//
// A Docker root has such a store in it, and records of more around it: [Records]
// is what it and a store have in common.
//
// The format of records is package record's.
package store
