// Package systems lists the naming systems of this program.
package systems

import (
	"thintree/meta"
	"thintree/meta/docker"
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
		storage.System,
		store.System,
		pool.System,
	}
}
