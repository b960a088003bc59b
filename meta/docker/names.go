package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"thintree/meta"
	"thintree/meta/record"
)

// maxConfig is how long the record of a container or an image may be, in bytes.
const maxConfig = 16 << 20

// containers adds the containers: those that have a record, and those of which
// only the layer is known.
func (s source) containers(ctx context.Context, cat *meta.Catalog, l *layers) error {
	entries, err := os.ReadDir(s.path(containersDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		cat.Warnings = append(cat.Warnings, err)
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		var config struct{ ID, Name, Image, Driver string }
		err := record.Read(s.path(containersDir, e.Name(), "config.v2.json"), maxConfig, &config)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				cat.Warnings = append(cat.Warnings, err)
			}
			continue
		}
		volume := l.mounts[config.ID]
		if config.Driver != "devicemapper" || volume == "" {
			continue
		}
		seen[config.ID] = true
		cat.Containers = append(cat.Containers, meta.Container{
			ID: config.ID, Name: strings.TrimPrefix(config.Name, "/"), Volume: volume, Image: config.Image,
		})
	}
	for id, volume := range l.mounts {
		if !seen[id] {
			cat.Containers = append(cat.Containers, meta.Container{ID: id, Volume: volume})
		}
	}
	slices.SortFunc(cat.Containers, func(a, b meta.Container) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// images adds the images with their names, of which repositories.json tells.
func (s source) images(ctx context.Context, cat *meta.Catalog, l *layers) error {
	var repositories struct {
		Repositories map[string]map[string]string
	}
	err := record.Read(s.path(namesFile), maxConfig, &repositories)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		cat.Warnings = append(cat.Warnings, err)
	}
	names := make(map[string][]string)
	for _, references := range repositories.Repositories {
		for reference, image := range references {
			// A reference by digest names nothing that the id does not.
			if !strings.Contains(reference, "@") {
				names[digits(image)] = append(names[digits(image)], reference)
			}
		}
	}
	entries, err := os.ReadDir(s.path(imagesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		cat.Warnings = append(cat.Warnings, err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := s.path(imagesDir, e.Name())
		var config struct {
			RootFS struct {
				DiffIDs []string `json:"diff_ids"`
			} `json:"rootfs"`
		}
		if err := record.Read(path, maxConfig, &config); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				cat.Warnings = append(cat.Warnings, err)
			}
			continue
		}
		if len(config.RootFS.DiffIDs) == 0 {
			continue // FROM scratch, with no files
		}
		volume := l.volume[chainID(config.RootFS.DiffIDs)]
		if volume == "" {
			cat.Warnings = append(cat.Warnings, fmt.Errorf("%s: no layer of this image's chain is known", path))
			continue
		}
		slices.Sort(names[e.Name()])
		cat.Images = append(cat.Images, meta.Image{ID: e.Name(), Names: names[e.Name()], Volume: volume})
	}
	return nil
}
