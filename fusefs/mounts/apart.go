package mounts

import (
	"fmt"
	"slices"

	"thintree/thin/resolve"
)

// alwaysUsed are the paths that a process that serves a tree uses, whatever the tree is
// made of.
var alwaysUsed = []string{
	"/dev", "/dev/mapper", "/dev/log", "/proc", "/sys", "/etc", "/usr", "/lib", "/lib64", "/var/lib/thintree",
}

// CheckApart returns an error that says what to do if a tree at a folder would hide one
// of the paths that it is made of, or would lie in one of them. Links and bind mounts on
// the way are taken into account.
func CheckApart(mountpoint string, madeOf []string) error {
	way, err := resolve.Trail(mountpoint)
	if err != nil {
		return err
	}
	here := way[len(way)-1]
	for _, path := range slices.Concat(madeOf, alwaysUsed) {
		// If a path leads nowhere, the part of it that exists counts.
		if trail, _ := resolve.Trail(path); slices.Contains(trail, here) {
			return fmt.Errorf("%s: a tree here would hide %s, which it needs: mount it on a folder elsewhere", mountpoint, path)
		}
	}
	for _, path := range madeOf {
		if trail, err := resolve.Trail(path); err == nil && slices.Contains(way, trail[len(trail)-1]) {
			return fmt.Errorf("%s: it lies in %s, of which the tree is made: mount it on a folder elsewhere", mountpoint, path)
		}
	}
	return nil
}
