package docker

import (
	"fmt"
	"maps"
	"slices"

	"thintree/meta"
	"thintree/meta/record"
)

// base is the name of the base device's volume.
var base = record.File("")

// filesDir is where the files are in every volume but the base device.
const filesDir = "rootfs"

// addVolumes adds a volume for each device.
func (s source) addVolumes(c *catalog, devices map[string]record.Device, db layerDB, open *record.Transaction) {
	c.volumes = make(map[string]bool, len(devices))
	for hash := range devices {
		c.volumes[record.File(hash)] = true
	}
	origins := s.origins(c, db)
	c.Volumes = make([]meta.Volume, 0, len(devices))
	for _, hash := range slices.Sorted(maps.Keys(devices)) {
		d, name := devices[hash], record.File(hash)
		v := meta.Volume{
			Name: name, Pool: poolName, DeviceID: d.ID, SizeBytes: d.SizeBytes, TransactionID: d.TransactionID,
			Role: meta.RoleVolume, Root: filesDir, Record: s.path(recordsDir, name),
		}
		if o, ok := origins[name]; ok {
			v.Role, v.Parent = o.role, o.parent
		}
		if hash == "" {
			v.Role, v.Parent, v.Root = meta.RoleBase, "", ""
		}
		switch {
		case open != nil && open.Hash == hash:
			v.State = meta.StateHalf
		case d.Deleted:
			v.State = meta.StateDeleted
		}
		c.Volumes = append(c.Volumes, v)
	}
}

// origin is what a volume is for, and which one it is a snapshot of.
type origin struct {
	role   meta.Role
	parent string // "" where it is not known
}

// origins tells the origins of volumes. A parent is one of the catalog's volumes,
// and no volume is its own forebear.
func (s source) origins(c *catalog, db layerDB) map[string]origin {
	origins := make(map[string]origin, len(db.layers)+2*len(db.mounts))
	add := func(volume string, role meta.Role, parent, dir string) {
		if !c.volumes[volume] {
			c.warn(fmt.Errorf("%s: its volume, %s, has no record in %s", dir, volume, recordsDir))
			return
		}
		if !c.volumes[parent] {
			parent = ""
		}
		origins[volume] = origin{role, parent}
	}
	for _, chain := range slices.Sorted(maps.Keys(db.layers)) {
		l, dir := db.layers[chain], s.path(layersDir, chain)
		add(l.volume, meta.RoleLayer, c.volumeBelow(db, l.below, dir), dir)
	}
	for _, id := range slices.Sorted(maps.Keys(db.mounts)) {
		m, dir := db.mounts[id], s.path(mountsDir, id)
		parent := c.volumeBelow(db, m.below, dir)
		role := meta.RoleContainer
		if !isID(id) {
			role = meta.RoleVolume // a builder's
		}
		if m.init != "" {
			add(m.init, meta.RoleInit, parent, dir)
			parent = m.init
		}
		add(m.volume, role, parent, dir)
	}
	for _, volume := range breakLoops(origins) {
		c.warn(fmt.Errorf("%s: volume %s comes from itself in the layer database", s.path(layersDir), volume))
	}
	return origins
}

// volumeBelow is the volume that a layer with its record in a folder lies on. It
// is "", with a warning, where that is not known.
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

// breakLoops takes away parents so that no volume is its own forebear, and tells
// whose.
func breakLoops(origins map[string]origin) (broken []string) {
	walk := make(map[string]int, len(origins)) // the walk that came by
	for i, start := range slices.Sorted(maps.Keys(origins)) {
		for at := start; at != "" && walk[at] == 0; at = origins[at].parent {
			walk[at] = i + 1
			if o := origins[at]; walk[o.parent] == i+1 {
				origins[at] = origin{role: o.role}
				broken = append(broken, at)
			}
		}
	}
	return broken
}
