package storage

import (
	"context"
	"errors"

	"thintree/meta"
	"thintree/meta/store"
)

// System is roots of containers/storage as one of the naming systems.
var System = meta.System{
	Name:      "storage",
	Argument:  "DIR",
	Noun:      "a containers/storage root",
	Help:      "a containers/storage root (podman, CRI-O, Buildah:\n/var/lib/containers/storage) with the devicemapper driver",
	Sign:      "a containers/storage root devicemapper-layers",
	TakesPool: true,
	Open: func(dir string, o meta.Options) (meta.Source, error) {
		if dir == "" {
			return nil, errors.New("storage: names no folder: storage:/var/lib/containers/storage")
		}
		root, options, err := store.Locate(dir, o)
		if err != nil {
			return nil, err
		}
		return New(root, options), nil
	},
	Recognise: func(_ context.Context, path string) (bool, error) { return Recognise(path), nil },
	Find:      find,
}
