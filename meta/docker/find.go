package docker

import (
	"context"
	"path/filepath"
	"slices"

	"thintree/meta/record"
)

// find lists the roots of this host: the usual one, and the one that Docker's configuration names. With
// userns-remap these are the folders in it.
func find(context.Context) ([]string, error) {
	places := []string{record.DockerRoot}
	config, err := readDaemon(record.DockerRoot)
	for _, dir := range []string{config.DataRoot, config.Graph} {
		if dir = filepath.Clean(dir); filepath.IsAbs(dir) && !slices.Contains(places, dir) {
			places = append(places, dir)
		}
	}
	var roots []string
	for _, place := range places {
		if isRoot(place) {
			roots = append(roots, place)
		} else {
			roots = append(roots, remappedIn(place)...)
		}
	}
	return roots, err
}
