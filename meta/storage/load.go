package storage

import (
	"context"
	"errors"
	"fmt"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/meta/store"
	"thintree/thin/resolve"
)

// Load reads all records. If they change meanwhile it reads them again, at most five times
// in all.
//
// The errors are those of [store.Records.Read], and a [resolve.TreeError] if a thintree
// mount covers records.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	return record.Settled(ctx, s.look, s.load)
}

func (s source) load(ctx context.Context) (*meta.Catalog, error) {
	devices, err := s.devices.Read(ctx)
	if err != nil {
		return nil, err
	}
	c := newCatalog(devices)
	layers, lost := read[layer](ctx, s, c, layersFile, volatileLayersFile)
	if len(layers) == 0 && len(c.volumes) > 0 && lost == nil {
		c.warn(fmt.Errorf("%s: it names no layers, but there are devices of layers", s.path(layersFile)))
	}
	images, lost := read[image](ctx, s, c, imagesFile)
	c.ImagesLost = lost
	containers, lost := read[container](ctx, s, c, containersFile, volatileContainersFile)
	c.ContainersLost = lost
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	origins := s.origins(c, layers)
	s.addImages(c, images)
	s.addContainers(c, containers, origins)
	if c.ContainersLost != nil {
		c.doubt(origins)
	}
	store.SetOrigins(c.Volumes, origins)
	// Records that a mount hides are not lost, so this catalog would be wrong.
	for _, err := range c.Warnings {
		if errors.As(err, new(*resolve.TreeError)) {
			return nil, err
		}
	}
	return c.Catalog, nil
}

// base is the name of the base device's volume.
var base = record.File("")

// catalog is a catalog that is being made.
type catalog struct {
	*meta.Catalog
	volumes map[string]*meta.Volume // the volumes that layers can have, by name
}

func newCatalog(c *meta.Catalog) *catalog {
	volumes := make(map[string]*meta.Volume, len(c.Volumes))
	for i := range c.Volumes {
		if v := &c.Volumes[i]; v.Role != meta.RoleBase {
			volumes[v.Name] = v
		}
	}
	return &catalog{c, volumes}
}

// maxWarnings bounds the warnings that are kept: a file can have very many short records.
const maxWarnings = 10_000

func (c *catalog) warn(errs ...error) {
	if room := maxWarnings - len(c.Warnings); len(errs) > room {
		errs = errs[:max(room, 0)]
	}
	c.Warnings = append(c.Warnings, errs...)
}

// addContainers adds the containers, each of its names as one. It sets the roles of their
// layers.
func (s source) addContainers(c *catalog, list []container, origins map[string]store.Origin) {
	for _, r := range list {
		if c.volumes[r.LayerID] == nil {
			c.warn(fmt.Errorf("%s: container %.80q: its layer, %.80q, has no record in %s", s.path(containersFile), r.ID, r.LayerID, recordsDir))
			continue
		}
		origins[r.LayerID] = store.Origin{Role: meta.RoleContainer, Parent: origins[r.LayerID].Parent}
		names := r.Names
		if len(names) == 0 {
			names = []string{""}
		}
		if len(c.Containers)+len(names) > maxNames {
			c.ContainersLost = fmt.Errorf("%s: the containers have more than %d names", s.path(containersFile), maxNames)
			c.warn(c.ContainersLost)
			return
		}
		for _, name := range names {
			c.Containers = append(c.Containers, meta.Container{ID: r.ID, Name: name, Volume: r.LayerID, Image: r.ImageID, Created: r.Created.UTC()})
		}
	}
}

// origins returns the origins of volumes, by volume, and tells the volumes what the layers'
// records say. A parent is one of the catalog's volumes, and no volume is its own ancestor.
func (s source) origins(c *catalog, layers []layer) map[string]store.Origin {
	known := make(map[string]bool, len(layers))
	for _, l := range layers {
		known[l.ID] = true
	}
	origins := make(map[string]store.Origin, len(layers))
	for _, l := range layers {
		v := c.volumes[l.ID]
		if v == nil {
			c.warn(fmt.Errorf("%s: layer %.80q has no record in %s", s.path(layersFile), l.ID, recordsDir))
			continue
		}
		v.Created = l.Created.UTC()
		if l.Flags.Incomplete == true && v.State == meta.StateNormal {
			v.State = meta.StateHalf
		}
		parent := l.Parent
		switch {
		case parent == "":
			parent = base
		case !known[parent]:
			c.warn(fmt.Errorf("%s: layer %.80q: the layer below it, %.80q, has no record", s.path(layersFile), l.ID, parent))
			parent = ""
		case c.volumes[parent] == nil:
			parent = ""
		}
		origins[l.ID] = store.Origin{Role: meta.RoleLayer, Parent: parent}
	}
	for _, volume := range store.BreakLoops(origins) {
		c.warn(fmt.Errorf("%s: layer %.80q is its own ancestor", s.path(layersFile), volume))
	}
	return origins
}

// doubt takes the role from layers that may be those of containers whose records are lost: no
// other layer and no image is on top of them.
func (c *catalog) doubt(origins map[string]store.Origin) {
	used := make(map[string]bool, len(origins))
	for _, o := range origins {
		used[o.Parent] = true
	}
	for _, i := range c.Images {
		used[i.Volume] = true
	}
	for volume, o := range origins {
		if o.Role == meta.RoleLayer && !used[volume] {
			origins[volume] = store.Origin{Role: meta.RoleVolume, Parent: o.Parent}
		}
	}
}

// addImages adds the images that have layers.
func (s source) addImages(c *catalog, list []image) {
	for _, r := range list {
		switch {
		case r.TopLayer == "":
		case len(r.Names) > maxNames:
			c.warn(fmt.Errorf("%s: image %.80q has more than %d names", s.path(imagesFile), r.ID, maxNames))
		case c.volumes[r.TopLayer] == nil:
			c.warn(fmt.Errorf("%s: image %.80q: its layer, %.80q, has no record in %s", s.path(imagesFile), r.ID, r.TopLayer, recordsDir))
		default:
			c.Images = append(c.Images, meta.Image{ID: r.ID, Names: r.Names, Volume: r.TopLayer, Created: r.Created.UTC()})
		}
	}
}
