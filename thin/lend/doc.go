// Package lend asks the kernel to activate devices of thin pools for this process. They are
// read-only, have names that no other program gives, and are hidden from udev.
//
// The kernel removes a lent device with its last user, also if the process is killed. Only a
// kill between the two ioctls that activate a device and ask for its removal leaves it behind;
// the next Lender removes it then ([Lender.Sweep]).
//
// An active pool is used as it is. An inactive one is activated read-only with its first lent
// device, and is removed with its last. If the owner has the pool active, a device can be lent
// by its pieces ([Request].Pieces): it stays inactive, and the owner can delete it.
//
// The only thing that is ever written to a pool is the temporary snapshot that a
// [Request] asks for.
//
// The sources are the kernel's thin-provisioning.rst and snapshot.rst, in
// Documentation/admin-guide/device-mapper.
package lend
