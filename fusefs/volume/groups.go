package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"thintree/fusefs/layout"
	"thintree/meta"
	"thintree/meta/lvm"
	"thintree/thin/block"
	"thintree/thin/pdata"
	"thintree/thin/reader"
)

// groups are the LVM volume groups at a place in an open volume.
type groups struct {
	*groupsRead
	bytes map[string]block.Reader // those that the catalog's locations name
	pools map[string]*reader.Pool // that are open, by their names; guarded by Contents.mu
}

// groupsRead is what was read of the groups at a place.
type groupsRead struct {
	catalog *meta.Catalog
	places  []layout.Place // of the physical volumes
	at      time.Time
}

// groups reads the volume groups at a place where a physical volume was found. If a group has other
// disks too, the partitions beside the place are taken for them. The volume keeps what was read, for
// those who look at it next.
func (c *Contents) groups(ctx context.Context, at layout.Place) (*groups, error) {
	valid := func(r *groupsRead) bool { return !c.volume.Live() || time.Since(r.at) <= fresh }
	c.mu.Lock()
	g := c.lvm[at]
	c.mu.Unlock()
	if g != nil && valid(g.groupsRead) {
		return g, nil
	}
	g = &groups{bytes: make(map[string]block.Reader), pools: make(map[string]*reader.Pool)}
	c.volume.mu.Lock()
	read := c.volume.groups[at]
	c.volume.mu.Unlock()
	if read != nil && valid(read) {
		for _, place := range read.places {
			if _, err := c.physical(ctx, g, place); err != nil {
				return nil, err
			}
		}
	} else {
		var err error
		if read, err = c.readGroups(ctx, g, at); err != nil {
			return nil, err
		}
		c.volume.mu.Lock()
		if c.volume.groups == nil {
			c.volume.groups = make(map[layout.Place]*groupsRead)
		}
		c.volume.groups[at] = read
		c.volume.mu.Unlock()
	}
	g.groupsRead = read
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lvm == nil {
		c.lvm = make(map[layout.Place]*groups)
	}
	c.lvm[at] = g
	return g, nil
}

// physical adds the bytes of a physical volume to the groups.
func (c *Contents) physical(ctx context.Context, g *groups, at layout.Place) (lvm.Device, error) {
	bytes, err := c.bytes(ctx, at)
	if err != nil {
		return lvm.Device{}, err
	}
	name := "/" + at.String()
	g.bytes[name] = bytes
	return lvm.Device{Path: at.Below(c.volume.name), In: block.At(name), Reader: bytes}, nil
}

func (c *Contents) readGroups(ctx context.Context, g *groups, at layout.Place) (*groupsRead, error) {
	first, err := c.physical(ctx, g, at)
	if err != nil {
		return nil, err
	}
	read := &groupsRead{places: []layout.Place{at}, at: time.Now()}
	if read.catalog, err = lvm.Read(ctx, []lvm.Device{first}); err != nil {
		return nil, err
	}
	outer, last := at.Last()
	missing := slices.ContainsFunc(read.catalog.Warnings, func(err error) bool { return errors.As(err, new(*lvm.MissingError)) })
	if last.Kind != layout.StepPartition || last.Number == 0 || !missing {
		return read, nil
	}
	disk, err := c.bytes(ctx, outer)
	if err != nil {
		return nil, err
	}
	found, err := c.tableAt(ctx, outer, disk)
	if err != nil {
		return nil, err
	}
	devices, places := []lvm.Device{first}, read.places
	for _, p := range Partitions(found) {
		if beside := outer.Partition(p.Index); beside != at {
			d, err := c.physical(ctx, g, beside)
			if err != nil {
				return nil, err
			}
			devices, places = append(devices, d), append(places, beside)
		}
	}
	if whole, err := lvm.Read(ctx, devices); err == nil {
		read.catalog, read.places = only(whole, read.names()), places
	}
	return read, nil
}

// only leaves those groups in a catalog that have one of these names.
func only(c *meta.Catalog, names []string) *meta.Catalog {
	other := func(name string) bool {
		group, _, _ := strings.Cut(name, "/")
		return !slices.Contains(names, layout.Escape(group))
	}
	c.Volumes = slices.DeleteFunc(c.Volumes, func(v meta.Volume) bool { return other(v.Name) })
	c.Pools = slices.DeleteFunc(c.Pools, func(p meta.Pool) bool { return other(p.Name) })
	return c
}

// names are the names of the groups, as their folders have them.
func (g *groupsRead) names() (list []string) {
	for i := range g.catalog.Volumes {
		group, _, _ := strings.Cut(g.catalog.Volumes[i].Name, "/")
		if group = inOnePart(group); len(list) == 0 || list[len(list)-1] != group {
			list = append(list, group)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// volumes are the names of a group's volumes, as their folders have them.
func (g *groupsRead) volumes(group string) (list []string) {
	for i := range g.catalog.Volumes {
		if of, name, _ := strings.Cut(g.catalog.Volumes[i].Name, "/"); inOnePart(of) == group {
			list = append(list, inOnePart(name))
		}
	}
	return list
}

// inOnePart is a name as the name of one folder. LVM's names have at most 127 bytes, and no slashes.
func inOnePart(name string) string { return strings.ReplaceAll(layout.Escape(name), "/", "%2F") }

// find is the record of a volume by the names of its folders, nil if there is none.
func (g *groupsRead) find(group, name string) *meta.Volume {
	for i := range g.catalog.Volumes {
		v := &g.catalog.Volumes[i]
		if of, volume, _ := strings.Cut(v.Name, "/"); inOnePart(of) == group && inOnePart(volume) == name {
			return v
		}
	}
	return nil
}

// logical is the bytes of a logical volume at a place.
func (c *Contents) logical(ctx context.Context, at layout.Place) (block.Reader, error) {
	in, volume := at.Last()
	outer, group := in.Last()
	g, err := c.groups(ctx, outer)
	if err != nil {
		return nil, err
	}
	v := g.find(group.Name, volume.Name)
	if v == nil {
		return nil, fmt.Errorf("no volume %s in group %s: %w", volume.Name, group.Name, syscall.ENOENT)
	}
	return c.logicalOf(ctx, g, v, 0)
}

// logicalOf is the bytes of a logical volume. depth is how many external origins lead to it.
func (c *Contents) logicalOf(ctx context.Context, g *groups, v *meta.Volume, depth int) (block.Reader, error) {
	switch {
	case v.Lost != nil:
		return nil, v.Lost
	case !v.IsThin():
		return v.Plain.Over(g.bytes), nil
	case depth > maxOrigins:
		return nil, fmt.Errorf("%s: more than %d external origins follow each other: %w", v.Name, maxOrigins, syscall.ELOOP)
	}
	var origin block.Reader
	if v.ExternalOrigin != "" {
		i := slices.IndexFunc(g.catalog.Volumes, func(o meta.Volume) bool { return o.Name == v.ExternalOrigin })
		if i < 0 {
			return nil, &unreadError{fmt.Errorf("%s: its external origin, %s, is not known", v.Name, v.ExternalOrigin)}
		}
		var err error
		if origin, err = c.logicalOf(ctx, g, &g.catalog.Volumes[i], depth+1); err != nil {
			return nil, err
		}
	}
	p, err := c.innerPool(ctx, g, v.Pool)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.Name, err)
	}
	if err := checkInner(ctx, p, v, c.opener.ForceNames); err != nil {
		return nil, fmt.Errorf("%s: %w", v.Name, err)
	}
	return p.OpenDevice(ctx, v.DeviceID, v.SizeBytes, origin)
}

// checkInner returns an error if the device with the id of a record is not the one that the record
// describes.
func checkInner(ctx context.Context, p *reader.Pool, v *meta.Volume, force bool) error {
	for d, err := range p.Devices(ctx) {
		if d.ID != v.DeviceID || !d.InDetails {
			continue
		}
		if err == nil && !force && v.TransactionID != 0 && d.TransactionID+1 != v.TransactionID {
			return madeIn(v.DeviceID, d.TransactionID+1, v.TransactionID)
		}
		return nil
	}
	return &pdata.NoDeviceError{ID: v.DeviceID}
}

// innerPool opens a pool of a group.
func (c *Contents) innerPool(ctx context.Context, g *groups, name string) (*reader.Pool, error) {
	c.mu.Lock()
	p := g.pools[name]
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	for _, rec := range g.catalog.Pools {
		if rec.Name != name {
			continue
		}
		p, err := reader.OpenInside(ctx, rec.Metadata.Over(g.bytes), rec.Data.Over(g.bytes), c.live())
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", name, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		g.pools[name] = p
		return p, nil
	}
	return nil, fmt.Errorf("no pool %s: %w", name, syscall.EIO)
}

// live reports whether the volume may be changing.
func (c *Contents) live() bool { return c.volume.Live() }
