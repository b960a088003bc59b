package pool

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"thintree/meta"
)

// Active is bare pools that device-mapper has active, as one of the naming systems.
var Active = meta.System{
	Name:       "dm",
	Argument:   "POOL",
	Noun:       "an active pool",
	Help:       "a pool that device-mapper has active, by its name there",
	TakesNames: true,
	Open: func(device string, o meta.Options) (meta.Source, error) {
		device = strings.TrimPrefix(device, "/dev/mapper/")
		if device == "" {
			return nil, errors.New("dm: names no pool: dm:vg0-pool0-tpool")
		}
		names := o.Names
		if names != "" {
			var err error
			if names, err = filepath.Abs(names); err != nil {
				return nil, err
			}
		}
		return NewActive(device, names), nil
	},
	Recognise: func(context.Context, string) (bool, error) { return false, nil },
}
