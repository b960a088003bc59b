// Package guest runs tests in a User Mode Linux guest, which has what the
// machine itself may lack, or must not be used for tests: device-mapper with
// thin pools, and root's rights.
//
// A test hands its body to [Run]. Outside the guest Run builds the test binary
// again, once a process, without the race detector (which does not run in there), boots a guest,
// runs only this test in it and takes over its result. Inside it calls the body.
//
// The guest's files are the machine's own, seen with the rights of the user who started it,
// but for /dev, /proc, /sys, /run and /mnt, which are its own; [testing.T.TempDir]
// lies in /mnt, in memory. It has one CPU, no network and no udev, and its timers are
// coarse (10 ms): so it spends no time on Go's thread that watches over the others.
// Booting takes about three seconds. Guests of tests in parallel run side by side, or take
// turns on machines on which they would hinder each other. The guest's parts come
// with the Debian packages user-mode-linux and kmod.
package guest
