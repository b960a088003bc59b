// Package systems lists the naming systems of this program.
package systems

import (
	"thintree/meta"
	"thintree/meta/containerd"
	"thintree/meta/disk"
	"thintree/meta/docker"
	"thintree/meta/lvm"
	"thintree/meta/pool"
	"thintree/meta/store"
)

// All returns the naming systems, in the order in which help lists them and paths are
// shown to them. A Docker root has a store in it, so docker comes before store.
func All() []meta.System {
	return []meta.System{
		docker.System,
		containerd.System,
		store.System,
		lvm.System,
		pool.System,
		pool.Active,
		disk.System,
	}
}
