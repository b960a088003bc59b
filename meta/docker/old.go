package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/meta/store"
)

// The layout of a root before Docker 1.10, which has no layer database. Each layer of an image
// is an image, and the ids of images and containers are the hashes of their volumes.
const (
	oldImagesDir  = "graph"
	oldNamesFile  = "repositories-" + driver
	oldConfigFile = "config.json" // in a container's folder
)

// isOld reports whether the root is of Docker before 1.10. The next Docker that starts there
// migrates it, and leaves the old records where they are.
func (s source) isOld() bool {
	top := topOf(s.root)
	return errors.Is(store.Is(unix.S_IFDIR, top, s.path(imageDir)), fs.ErrNotExist) && store.Is(unix.S_IFDIR, top, s.path(oldImagesDir)) == nil
}

// oldImage is the part of an image's record that is used: Image in image/image.go.
type oldImage struct {
	ID       string    `json:"id"` // may be ""
	Parent   string    `json:"parent"`
	ParentID string    `json:"parent_id"` // a digest, in some records instead of Parent
	Created  time.Time `json:"created"`
	Config   settings  `json:"config"`
	lost     error     // why the parent is unknown
	long     bool      // its labels are too long
}

// addOld adds what the records of a root before Docker 1.10 say.
func (s source) addOld(ctx context.Context, c *catalog) error {
	ids, containers, err := s.readContainers(ctx, c, oldConfigFile, func(id string) bool { return c.volumes[id] })
	if err != nil {
		return err
	}
	dir, images := s.list(c, oldImagesDir, &c.ImagesLost, func(e fs.DirEntry) bool { return e.IsDir() && isID(e.Name()) })
	defer dir.Close()
	found, damaged, err := record.Each(ctx, images, func(id string) (oldImage, error) { return readOldImage(dir, id) })
	c.warn(damaged...)
	if err != nil {
		return err
	}
	db := layerDB{
		layersDir: oldImagesDir, mountsDir: recordsDir,
		layers: make(map[string]layer, len(found)), mounts: make(map[string]mount, len(ids)),
	}
	for id, i := range found {
		db.layers[id] = layer{id, below{i.Parent, i.lost}}
	}
	for _, id := range ids {
		if !c.volumes[id] {
			continue // addContainers warns
		}
		m := mount{volume: id, below: below{chain: containers[id].Image}}
		if _, ok := containers[id]; !ok {
			m.lost = fmt.Errorf("%s: its image is unknown, and so is what is below its volume", s.path(containersDir, id))
		}
		if init := id + record.InitSuffix; c.volumes[init] {
			m.init = init
		}
		db.mounts[id] = m
	}
	store.SetOrigins(c.Volumes, s.origins(c, db))
	s.addContainers(c, db, ids, containers, oldConfigFile)
	s.addOldImages(c, images, found)
	return nil
}

// addOldImages adds the images that docker images showed: those with names, and those that no
// other image is made from. ids are sorted.
func (s source) addOldImages(c *catalog, ids []string, found map[string]oldImage) {
	var list []reference
	for repository, references := range s.readRepositories(c, oldNamesFile, len(found) > 0) {
		for tag, id := range references {
			list = append(list, reference{oldName(repository, tag), id, isID(id)})
		}
	}
	names := s.sortNames(c, oldNamesFile, list, ids)
	parents := make(map[string]bool, len(found))
	for _, i := range found {
		parents[i.Parent] = true
	}
	for _, id := range ids {
		i, read := found[id]
		if !read || !c.volumes[id] || len(names[id]) == 0 && parents[id] {
			continue
		}
		if i.long {
			c.warn(tooLong(s.path(oldImagesDir, id), "labels"))
		}
		c.Images = append(c.Images, meta.Image{ID: id, Names: names[id], Volume: id, Labels: i.Config.Labels, Created: i.Created.UTC()})
	}
}

func readOldImage(dir *record.Folder, id string) (oldImage, error) {
	var i oldImage
	name := id + "/json"
	if err := dir.ReadJSON(name, maxConfig, &i); err != nil {
		return oldImage{}, err
	}
	if i.ID != "" && i.ID != id {
		return oldImage{}, fmt.Errorf("%s: this is the record of another image, %.64q", dir.Path(name), i.ID)
	}
	i.long = i.Config.bound()
	if digits, ok := fromDigest(i.ParentID); ok && i.Parent == "" {
		i.Parent = digits
	}
	// A parent in a file of its own wins.
	parent, err := readWord(dir, id+"/parent")
	switch {
	case err == nil && parent != "":
		i.Parent = parent
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		i.Parent, i.lost = "", err
	}
	if i.Parent != "" && !isID(i.Parent) {
		i.Parent, i.lost = "", fmt.Errorf("%s: %.80q is not the id of an image", dir.Path(name), i.Parent)
	}
	return i, nil
}
