// Package meta tells who named the volumes.
//
// A thin pool knows device ids only. Names, sizes, parents, containers and
// images stand in the records of whoever made the volumes: Docker, containerd,
// LVM, … A [Source] reads the records of one of them and gives a [Catalog].
//
// It reads records only. The pools themselves are package thin's.
package meta
