package containerd

import (
	"context"
	"errors"
	"path/filepath"

	"thintree/meta"
	"thintree/meta/pool"
)

// System is containerd roots as one of the naming systems.
var System = meta.System{
	Name:      "containerd",
	Argument:  "DIR",
	Noun:      "a containerd root",
	Help:      "a containerd root (/var/lib/containerd) with the devmapper\nsnapshotter",
	Sign:      "a containerd root has " + pluginDir + " in it",
	TakesPool: true,
	Open: func(dir string, o meta.Options) (meta.Source, error) {
		if dir == "" {
			return nil, errors.New("containerd: names no folder: containerd:/var/lib/containerd")
		}
		root, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if o.Pool == "" {
			return New(root, nil), nil
		}
		given, err := pool.Given(o.Pool, "")
		if err != nil {
			return nil, err
		}
		return New(root, &given), nil
	},
	Recognise: func(_ context.Context, path string) (bool, error) { return Recognise(path), nil },
	Find:      find,
}
