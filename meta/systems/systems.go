// Package systems lists the naming systems of this program.
package systems

import (
	"thintree/meta"
	"thintree/meta/containerd"
	"thintree/meta/disk"
	"thintree/meta/docker"
	"thintree/meta/lvm"
	"thintree/meta/pool"
	"thintree/meta/storage"
	"thintree/meta/store"
)

// All returns the naming systems, in the order in which help lists them and paths are
// shown to them. Docker's roots and those of containers/storage have a store in them, so
// docker and storage come before store.
func All() []meta.System {
	return []meta.System{
		docker.System,
		containerd.System,
		storage.System,
		store.System,
		lvm.System,
		pool.System,
		pool.Active,
		disk.System,
	}
}
