package storage

import (
	"context"
	"os"
	"path/filepath"

	"thintree/meta/record"
)

// find lists the roots of this host: root's, and the user's own.
func find(context.Context) (roots []string, err error) {
	places := []string{record.StorageRoot}
	if home, err := os.UserHomeDir(); err == nil {
		places = append(places, filepath.Join(home, record.UserRoot))
	}
	for _, place := range places {
		if Recognise(place) {
			roots = append(roots, place)
		}
	}
	return roots, nil
}
