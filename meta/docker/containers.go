package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"thintree/meta"
	"thintree/meta/record"
)

// container is the part of a container's record that is used.
type container struct {
	ID, Name, Image, Driver string
	// State.Dead says that the container is being removed; its layer may be gone.
	State struct{ Dead bool }
}

// addContainers adds the containers. A container without a record is added without a name,
// if it has a layer.
func (s source) addContainers(ctx context.Context, c *catalog, db layerDB) error {
	dir, ids := s.list(c, containersDir, &c.ContainersLost, func(e fs.DirEntry) bool { return e.IsDir() && isID(e.Name()) })
	defer dir.Close()
	records, damaged, err := record.Each(ctx, ids, func(id string) (container, error) {
		r, err := readContainer(dir, id)
		if _, mounted := db.mounts[id]; mounted && errors.Is(err, fs.ErrNotExist) {
			err = errors.New(err.Error()) // not wrapped: the record is lost, it did not just vanish
		}
		return r, err
	})
	c.warn(damaged...)
	if err != nil {
		return err
	}
	for _, id := range ids {
		r := records[id]
		if _, mounted := db.mounts[id]; !mounted && r.Driver == driver && !r.State.Dead {
			c.warn(fmt.Errorf("%s: its layer has no record in %s", s.path(containersDir, id, configFile), mountsDir))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(db.mounts)) {
		r, m := records[id], db.mounts[id]
		if !isID(id) || !c.volumes[m.volume] {
			continue
		}
		name := strings.TrimPrefix(r.Name, "/")
		if err := checkName(name); err != nil && name != "" {
			c.warn(fmt.Errorf("%s: %w", s.path(containersDir, id, configFile), err))
			name = ""
		}
		c.Containers = append(c.Containers, meta.Container{ID: id, Name: name, Volume: m.volume, Image: r.Image})
	}
	return nil
}

func readContainer(dir *record.Folder, id string) (container, error) {
	var r container
	name := id + "/" + configFile
	path := dir.Path(name)
	if err := dir.ReadJSON(name, maxConfig, &r); err != nil {
		return container{}, err
	}
	switch {
	case r.ID != id:
		return container{}, fmt.Errorf("%s: this is the record of another container, %.64q", path, r.ID)
	case len(r.Image) > maxName:
		return container{}, fmt.Errorf("%s: the name of its image is %d bytes long", path, len(r.Image))
	}
	return r, nil
}
