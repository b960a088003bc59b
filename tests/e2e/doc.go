// Package e2e tests thintree as a whole: the program is built, run on the real
// pools of package pools, and held against what the kernel showed of them.
package e2e
