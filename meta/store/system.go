package store

import (
	"context"
	"errors"
	"path/filepath"

	"thintree/meta"
	"thintree/meta/pool"
)

// System is thintree's own stores as one of the naming systems.
var System = meta.System{
	Name:      "store",
	Argument:  "DIR",
	Noun:      "a store",
	Help:      "a store of thintree's own: what a Docker root has in its\nfolder devicemapper",
	Sign:      "a store metadata/base",
	TakesPool: true,
	Open: func(dir string, o meta.Options) (meta.Source, error) {
		if dir == "" {
			return nil, errors.New("store: names no folder: store:/var/lib/thintree")
		}
		dir, options, err := Locate(dir, o)
		if err != nil {
			return nil, err
		}
		return New(dir, options), nil
	},
	Recognise: func(_ context.Context, path string) (bool, error) { return Recognise(path), nil },
}

// Locate returns the absolute path of a folder with records of devices, and the options
// that o stands for.
func Locate(dir string, o meta.Options) (root string, options Options, err error) {
	if root, err = filepath.Abs(dir); err != nil {
		return "", options, err
	}
	if o.Pool != "" {
		given, err := pool.Given(o.Pool, poolName)
		if err != nil {
			return "", options, err
		}
		options.Pool = &given
	}
	return root, options, nil
}
