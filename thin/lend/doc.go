// Package lend has the kernel activate devices of thin pools for this process:
// read-only, under names that no other program gives, out of udev's sight, and so
// that they go by themselves with their last user, also where the process is
// killed at any instant but between two ioctls; what is left then is swept by the
// next Lender.
//
// A pool that is active is used as it is; one that is not is activated so that
// nothing in it can be changed, with its first device, and goes with its last. Of a pool
// that its owner has active, a device can be lent by its pieces ([Lender.LendPieces]): then
// it stays inactive, and the owner can delete it.
// The only thing that is ever written to a pool is the temporary snapshot that
// [Lender.LendSnapshot] is asked for.
//
// The kernel's behaviour is that of its documents thin-provisioning.rst and
// snapshot.rst, in Documentation/admin-guide/device-mapper.
package lend
