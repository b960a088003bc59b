// Package meta is what the records of those who made a pool's volumes say.
//
// A thin pool knows device ids only. Names, sizes, parents, containers and images
// are in the records of the program that made the volumes: Docker, containerd, LVM, …
// A [System] is one such way to name volumes. It opens a [Source], which reads the
// records and gives a [Catalog]. The list of systems is meta/systems.
//
// It reads records only. The pools themselves are package thin's.
package meta
