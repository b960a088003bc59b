// Package toysystem is a folder with a pool in it, and the names of its volumes.
package toysystem

import (
	"context"
	"os"
	"path/filepath"

	"thintree/meta"
	"thintree/meta/pool"
)

// System is this package as one of the naming systems.
var System = meta.System{
	Name:     "toy",
	Argument: "DIR",
	Noun:     "a toy",
	Help:     "a folder with toy.metadata, toy.data and toy.names",
	Sign:     "a toy toy.names",
	Open: func(dir string, _ meta.Options) (meta.Source, error) {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		at := func(name string) string { return filepath.Join(dir, name) }
		s, err := pool.System.Open(at("toy.metadata")+","+at("toy.data"), meta.Options{Names: at("toy.names")})
		return source{s, dir}, err
	},
	Recognise: func(_ context.Context, path string) (bool, error) {
		_, err := os.Stat(filepath.Join(path, "toy.names"))
		return err == nil, nil
	},
}

// source is a pool under the name of this system.
type source struct {
	meta.Source
	dir string
}

func (s source) String() string { return "toy:" + s.dir }
