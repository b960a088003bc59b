package containerd

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"thintree/meta"
	"thintree/meta/store"
)

// catalog is a catalog that is being made.
type catalog struct {
	*meta.Catalog
	volumes map[string]int // by name: where in Volumes
	// known are the snapshots of namespaces, and named the names of the volumes of those
	// that have one.
	known map[key]bool
	named map[key]string
	// torn are the warnings of what one database has and another one lacks.
	torn []string
}

func (c *catalog) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Errorf(format, args...))
}

// tear warns of something that one database has and another one lacks.
func (c *catalog) tear(format string, args ...any) {
	c.warn(format, args...)
	c.torn = append(c.torn, c.Warnings[len(c.Warnings)-1].Error())
}

// addVolumes adds a volume for each device. Those of committed snapshots are layers.
func (c *catalog) addVolumes(r *records) {
	c.volumes = make(map[string]int, len(r.devices))
	byDevice := make(map[string]snapshot, len(r.snapshots))
	for _, s := range r.snapshots {
		byDevice[s.device(r.pool)] = s
	}
	names := slices.Sorted(maps.Keys(r.devices))
	origins := make(map[string]store.Origin, len(names))
	for _, name := range names {
		parent := r.devices[name].ParentName
		if _, ok := r.devices[parent]; !ok && parent != "" {
			c.warn("%s: device %.80q: its parent, %.80q, has no valid record", r.devicesPath, name, parent)
			parent = ""
		}
		origins[name] = store.Origin{Parent: parent}
	}
	for _, name := range store.BreakLoops(origins) {
		c.warn("%s: device %.80q is its own ancestor", r.devicesPath, name)
	}
	c.Volumes = make([]meta.Volume, 0, len(names))
	for i, name := range names {
		d, s := r.devices[name], byDevice[name]
		v := meta.Volume{
			Name: name, Pool: r.pool, DeviceID: *d.DeviceID, SizeBytes: int64(*d.Size), Parent: origins[name].Parent, Role: meta.RoleVolume,
			State: d.State.volumeState(), Record: r.devicesPath, Labels: s.labels, Created: s.created,
		}
		if s.kind == meta.SnapshotCommitted {
			v.Role = meta.RoleLayer
		}
		c.volumes[name] = i
		c.Volumes = append(c.Volumes, v)
	}
}

// addSnapshots adds the snapshots of all namespaces. If both databases could be read
// in full, it warns of snapshots that the snapshotter lacks. It may have more: containerd removes
// a snapshot there some time after its name.
func (c *catalog) addSnapshots(r *records) {
	c.known = make(map[key]bool, len(r.namespaces.snapshots))
	for _, n := range r.namespaces.snapshots {
		c.known[n.key] = true
	}
	c.named = make(map[key]string, len(r.namespaces.snapshots))
	for _, n := range r.namespaces.snapshots {
		s, ok := r.snapshots[n.name]
		if !ok {
			if r.snapshotsLost == nil {
				c.tear("%s: snapshot %.160q: %.160q has no valid record in %s", r.namespaces.path, n, n.name, metadataFile)
			}
			continue
		}
		device := s.device(r.pool)
		if _, ok := c.volumes[device]; !ok {
			continue
		}
		c.named[n.key] = device
		snapshot := meta.Snapshot{Name: n.String(), Volume: device, Kind: s.kind, Labels: n.labels, Created: n.created}
		switch parent := (key{n.namespace, n.parent}); {
		case c.known[parent]:
			snapshot.Parent = parent.String()
		case n.parent != "" && r.namespacesLost == nil:
			c.warn("%s: snapshot %.160q: its parent, %.160q, has no valid record", r.namespaces.path, n, n.parent)
		}
		c.Snapshots = append(c.Snapshots, snapshot)
	}
	for _, name := range slices.Sorted(maps.Keys(r.snapshots)) {
		device := r.snapshots[name].device(r.pool)
		if _, ok := c.volumes[device]; !ok {
			c.tear("%s: snapshot %.160q: its device, %.80q, has no valid record in %s", r.metadataPath, name, device, r.devicesPath)
		}
	}
}

// addContainers adds the containers whose snapshot has a volume, and gives these their role.
func (c *catalog) addContainers(r *records) {
	for _, n := range r.namespaces.containers {
		snapshot := key{n.namespace, n.snapshotKey}
		volume, ok := c.named[snapshot]
		if !ok {
			if !c.known[snapshot] && r.namespacesLost == nil {
				c.warn("%s: container %.160q: its snapshot, %.160q, has no valid record", r.namespaces.path, n, n.snapshotKey)
			}
			continue
		}
		c.Volumes[c.volumes[volume]].Role = meta.RoleContainer
		c.Containers = append(c.Containers, meta.Container{
			ID: n.key.key, Name: n.String(), Volume: volume, Image: n.image,
			Command: n.spec.Process.Args, Labels: n.labels, Mounts: n.spec.mounts(), Created: n.created,
		})
	}
}

// addImages adds the images that are unpacked. The snapshot of one that was unpacked may have
// been removed since.
func (c *catalog) addImages(r *records) {
	for _, n := range r.namespaces.images {
		if volume, ok := c.named[key{n.namespace, n.chainID}]; ok {
			c.Images = append(c.Images, meta.Image{
				ID: strings.TrimPrefix(n.digest, "sha256:"), Names: []string{n.String()}, Volume: volume, Labels: n.labels, Created: n.created,
			})
		}
	}
}
