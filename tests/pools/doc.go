// Package pools gives tests real pools: what Docker, containerd,
// containers-storage and LVM wrote, and what the kernel showed of each volume.
// testdata/README.md says what each archive holds.
//
// [Docker], [Containerd], [Storage] and [LVM] unpack an archive once for all test
// binaries that have the same temporary folder, and give the same copy to
// all of them. A test that wants to change something copies it first. A copy that
// was changed is replaced by the next binary that asks.
//
// Beside each archive is a script that makes a pool of the same shape.
package pools
