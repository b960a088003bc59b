package docker

import (
	"fmt"
	"maps"
	"slices"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/meta/store"
)

// base is the name of the base device's volume.
var base = record.File("")

// origins returns the origins of volumes, by volume. A parent is one of the catalog's
// volumes, and no volume is its own ancestor.
func (s source) origins(c *catalog, db layerDB) map[string]store.Origin {
	origins := make(map[string]store.Origin, len(db.layers)+2*len(db.mounts))
	add := func(volume string, role meta.Role, parent, dir string) {
		if !c.volumes[volume] {
			c.warn(fmt.Errorf("%s: its volume, %s, has no record in %s", dir, volume, recordsDir))
			return
		}
		if !c.volumes[parent] {
			parent = ""
		}
		origins[volume] = store.Origin{Role: role, Parent: parent}
	}
	for _, chain := range slices.Sorted(maps.Keys(db.layers)) {
		l, dir := db.layers[chain], s.path(db.layersDir, chain)
		add(l.volume, meta.RoleLayer, c.volumeBelow(db, l.below, dir), dir)
	}
	for _, id := range slices.Sorted(maps.Keys(db.mounts)) {
		m, dir := db.mounts[id], s.path(db.mountsDir, id)
		parent := c.volumeBelow(db, m.below, dir)
		role := meta.RoleContainer
		if !isID(id) {
			role = meta.RoleVolume // of a builder
		}
		if m.init != "" {
			add(m.init, meta.RoleInit, parent, dir)
			parent = m.init
		}
		add(m.volume, role, parent, dir)
	}
	for _, volume := range store.BreakLoops(origins) {
		c.warn(fmt.Errorf("%s: volume %s is its own ancestor", s.path(db.layersDir), volume))
	}
	return origins
}

// volumeBelow is the volume below a layer, whose record is in dir. If it is unknown it is
// "", with a warning.
func (c *catalog) volumeBelow(db layerDB, b below, dir string) string {
	l, known := db.layers[b.chain]
	switch {
	case b.lost != nil:
		c.warn(b.lost)
		return ""
	case b.chain == "":
		return base
	case !known:
		c.warn(fmt.Errorf("%s: the layer below it, %s, has no record", dir, b.chain))
	}
	return l.volume
}
