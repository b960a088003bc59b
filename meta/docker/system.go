package docker

import (
	"context"
	"errors"

	"thintree/meta"
	"thintree/meta/store"
)

// System is Docker roots as one of the naming systems.
var System = meta.System{
	Name:      "docker",
	Argument:  "DIR",
	Noun:      "a Docker root",
	Help:      "a Docker root (/var/lib/docker) with the devicemapper driver",
	Sign:      "a Docker root has devicemapper/metadata in it",
	TakesPool: true,
	Open: func(dir string, o meta.Options) (meta.Source, error) {
		if dir == "" {
			return nil, errors.New("docker: names no folder: docker:/var/lib/docker")
		}
		root, options, err := store.Locate(dir, o)
		if err != nil {
			return nil, err
		}
		return New(root, options), nil
	},
	Recognise: func(_ context.Context, path string) (bool, error) {
		if Recognise(path) {
			return true, nil
		}
		return false, remapped(path)
	},
	Find: find,
}
