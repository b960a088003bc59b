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

// container is what a container's record says.
type container struct {
	meta.Container // without its Volume
	driver         string
	dead           bool  // it is being removed; its layer may be gone
	lost           error // why a part of the record is not used
}

// readContainers reads the records of containers, files with the name file in their folders.
// ids are those with a folder, sorted. damaged has an error for each that is in mounted but has
// no record.
func (s source) readContainers(ctx context.Context, c *catalog, file string, mounted func(id string) bool) (ids []string, records map[string]container, err error) {
	dir, ids := s.list(c, containersDir, &c.ContainersLost, func(e fs.DirEntry) bool { return e.IsDir() && isID(e.Name()) })
	defer dir.Close()
	records, damaged, err := record.Each(ctx, ids, func(id string) (container, error) {
		r, err := readContainer(dir, id, file)
		if errors.Is(err, fs.ErrNotExist) && mounted(id) {
			err = errors.New(err.Error()) // not wrapped: the record is lost, it did not just vanish
		}
		return r, err
	})
	c.warn(damaged...)
	return ids, records, err
}

// addContainers adds the containers. A container without a record is added without a name,
// if it has a layer.
func (s source) addContainers(c *catalog, db layerDB, ids []string, records map[string]container, file string) {
	for _, id := range ids {
		r, read := records[id]
		if _, mounted := db.mounts[id]; !mounted && r.driver == driver && !r.dead {
			c.warn(fmt.Errorf("%s: its layer has no record in %s", s.path(containersDir, id, file), db.mountsDir))
		}
		if read && r.lost != nil {
			c.warn(r.lost)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(db.mounts)) {
		r, m := records[id].Container, db.mounts[id]
		if !isID(id) || !c.volumes[m.volume] {
			continue
		}
		r.ID, r.Volume, r.Name = id, m.volume, strings.TrimPrefix(r.Name, "/")
		if err := checkName(r.Name); err != nil && r.Name != "" {
			c.warn(fmt.Errorf("%s: %w", s.path(containersDir, id, file), err))
			r.Name = ""
		}
		c.Containers = append(c.Containers, r)
	}
}

func readContainer(dir *record.Folder, id, file string) (container, error) {
	var r config
	name := id + "/" + file
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
	return r.container(path), nil
}
