// Package e2e tests thintree as a whole: the program is built, run on the real
// pools of package pools, and held against what the kernel showed of them. Here
// thintree reads the filesystems itself; one test runs the others over the kernel
// engine too, in the guest of package guest.
package e2e
