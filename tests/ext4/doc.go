// Package ext4 holds thintree/volfs/ext4 against the kernel: each test makes an
// image with mke2fs, has the kernel fill it, and compares what a read-only
// mount of it shows with what the reader does.
//
// The tests need root, loop devices and e2fsprogs, and skip with "needs …"
// where these are lacking. They mount without a mount point (fsopen(2)), so a
// process that dies leaves neither a mount nor a loop device behind.
//
// Where no kernel shows the truth, because it does not mount the feature, the
// expectation is written by hand, and the test's log says "crafted, no kernel
// oracle".
package ext4
