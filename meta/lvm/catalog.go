package lvm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thintree/meta"
	"thintree/thin/block"
)

// Read finds the volume groups on devices, and names their volumes. It reads the devices only
// until it returns.
//
// A group of which a disk is missing is shown too. It is a *[DuplicateError] if two devices have
// one physical volume. It is also an error if no group can be read, or two have one name.
func Read(ctx context.Context, devices []Device) (*meta.Catalog, error) {
	found, err := read(ctx, devices, "")
	if err != nil {
		return nil, err
	}
	return found.catalog, nil
}

// readings is what devices hold.
type readings struct {
	catalog *meta.Catalog
	disks   []*physical // of the groups in the catalog, and those in no group
	sectors []sector    // that were read besides
}

// NoGroupError says that there is no volume group, or not the one that was asked for.
type NoGroupError struct {
	Name string // its name or id, "" for any
	// Err is what is wrong with the devices, nil if nothing is.
	Err error
}

func (e *NoGroupError) Error() string {
	text := "no volume group of LVM can be found"
	if e.Name != "" {
		text = fmt.Sprintf("this host has no volume group %.80q (the path of a disk or image has a slash: lvm:./%.80s)", e.Name, e.Name)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *NoGroupError) Unwrap() error { return e.Err }

// read is Read for the group with a name or id, for all groups if name is "".
func read(ctx context.Context, devices []Device, name string) (*readings, error) {
	disks, warnings, err := scanAll(ctx, devices)
	if err != nil {
		return nil, err
	}
	groups, damaged, err := readGroups(ctx, disks)
	if err != nil {
		return nil, err
	}
	r := &readings{catalog: &meta.Catalog{}}
	if name != "" {
		groups = slices.DeleteFunc(groups, func(c *copied) bool { return c.group.Name != name && c.group.ID != name })
	}
	for _, p := range disks {
		if name == "" || isOfAny(groups, p) {
			r.disks = append(r.disks, p)
		}
	}
	paths := r.paths()
	if name == "" {
		warnings = append(warnings, without(devices, paths, warnings)...)
	}
	for _, w := range append(warnings, damaged...) {
		if name == "" || len(groups) == 0 || slices.Contains(paths, w.path) {
			r.catalog.Warnings = append(r.catalog.Warnings, w.err)
		}
	}
	if len(groups) == 0 {
		return nil, &NoGroupError{name, errors.Join(r.catalog.Warnings...)}
	}
	for i := range groups[1:] {
		if a, b := groups[i].group, groups[i+1].group; a.Name == b.Name {
			return nil, fmt.Errorf("two groups are named %q: name one by its id, %s or %s, or name only its disks", a.Name, a.ID, b.ID)
		}
	}
	byID, err := byID(r.disks)
	if err != nil {
		return nil, err
	}
	for _, c := range groups {
		l := newLocator(c.group, byID)
		l.add(ctx, r.catalog, c.path)
		r.sectors = append(r.sectors, l.sectors...)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for _, p := range r.disks {
		if p.label.Used && !isOfAny(groups, p) {
			r.catalog.Warnings = append(r.catalog.Warnings, fmt.Errorf("%s: no metadata of the group that this disk is part of (it has the id %s)", p.Path, p.label.PVUUID))
		}
	}
	return r, nil
}

// without warns of devices on which nothing was found, and nothing is wrong.
func without(devices []Device, found []string, others []warning) (list []warning) {
	for _, d := range devices {
		if !slices.Contains(found, d.Path) && !slices.ContainsFunc(others, func(w warning) bool { return w.path == d.Path }) {
			list = append(list, warning{d.Path, fmt.Errorf("%s: neither a disk of a volume group, nor a disk with partitions that belong to one", d.Path)})
		}
	}
	return list
}

// paths are the paths of the disks, sorted, each once.
func (r *readings) paths() []string {
	var list []string
	for _, p := range r.disks {
		list = append(list, p.Path)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func isOfAny(groups []*copied, p *physical) bool {
	return slices.ContainsFunc(groups, func(c *copied) bool { return c.group.has(p) })
}

// has reports whether a disk is part of the group.
func (g *VolumeGroup) has(p *physical) bool {
	return slices.ContainsFunc(g.PhysicalVolumes, func(v PhysicalVolume) bool { return v.ID == p.label.PVUUID })
}

// add adds the group's pools and volumes to a catalog. record is the disk with the group's text.
func (l *locator) add(ctx context.Context, c *meta.Catalog, record string) {
	for _, pv := range l.group.PhysicalVolumes {
		disk := l.disks[pv.ID]
		switch end, ok := sectorsToBytes(pv.DevSize); {
		case disk == nil || pv.isMissing():
			err := &MissingError{ID: pv.ID, Device: pv.Device, Stale: disk != nil}
			c.Warnings = append(c.Warnings, fmt.Errorf("group %.80q is not whole: %w", l.group.Name, err))
		case ok && end > disk.r.Size():
			c.Warnings = append(c.Warnings, fmt.Errorf("%s: %d bytes, but %d by the metadata of group %.80q: it is cut off", disk.Path, disk.r.Size(), end, l.group.Name))
		}
	}
	uses := l.uses()
	pools := make(map[string]error, 1) // by their names, why they cannot be read
	for i := range l.group.LogicalVolumes {
		v := &l.group.LogicalVolumes[i]
		if v.Err != nil || v.Segments[0].Type != typeThinPool {
			continue
		}
		pool, err := l.pool(ctx, v)
		if pools[v.Name] = err; err == nil {
			c.Pools = append(c.Pools, pool)
		}
	}
	first := len(c.Volumes)
	c.Volumes = slices.Grow(c.Volumes, len(l.group.LogicalVolumes))
	for i := range l.group.LogicalVolumes {
		v := &l.group.LogicalVolumes[i]
		if !isListed(v, uses[v.Name]) {
			continue
		}
		volume, err := l.volume(ctx, v, uses[v.Name], pools)
		if err != nil {
			volume.Lost = &LostError{volume.Name, err}
		}
		volume.Record = record
		c.Volumes = append(c.Volumes, volume)
		for _, merged := range uses[v.Name].thinMerges {
			c.Warnings = append(c.Warnings, fmt.Errorf("%s: the snapshot %.80q will take its place when it is activated next", volume.Name, merged))
		}
	}
	slices.SortFunc(c.Volumes[first:], func(a, b meta.Volume) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Pools, func(a, b meta.Pool) int { return strings.Compare(a.Name, b.Name) })
}

// isListed reports whether people see the volume, as LVM has it.
func isListed(v *LogicalVolume, u use) bool {
	switch {
	case v.Err != nil && v.Status == nil:
		return true // it may be one that they see
	case v.Err != nil:
		return v.isVisible()
	case u.snapshotOf != "":
		return !u.merging // its status says that it is hidden
	}
	switch v.Segments[0].Type {
	case typeThinPool, typeCachePool, typeVDOPool, typeSnapshot:
		return false // a pool, or the tie between a snapshot and its origin
	}
	return v.isVisible()
}

// use is how other volumes use one.
type use struct {
	// snapshotOf is the origin of which the volume has the differences, and merging says that
	// they are being merged into it.
	snapshotOf string
	merging    bool
	// merges is a snapshot that is being merged into the volume, and thinMerges those that
	// will take the place of a thin one.
	merges     string
	thinMerges []string
	// created says that the volume's pool has not been told yet to create it.
	created bool
}

// uses are how volumes use each other, by the names of those that are used.
func (l *locator) uses() map[string]use {
	all := make(map[string]use)
	change := func(name string, do func(*use)) {
		u := all[name]
		do(&u)
		all[name] = u
	}
	for i := range l.group.LogicalVolumes {
		v := &l.group.LogicalVolumes[i]
		if v.Err != nil {
			continue
		}
		switch s := &v.Segments[0]; s.Type {
		case typeSnapshot:
			change(s.CowStore, func(u *use) { u.snapshotOf, u.merging = s.Origin, s.Merging })
			if s.Merging {
				change(s.Origin, func(u *use) { u.merges = s.CowStore })
			}
		case typeThin:
			if s.Merge != "" {
				change(s.Merge, func(u *use) { u.thinMerges = append(u.thinMerges, v.Name) })
			}
		case typeThinPool:
			for _, name := range s.Creates {
				change(name, func(u *use) { u.created = true })
			}
		}
	}
	return all
}

// volume describes a volume. With an error, it is as for one that is lost.
func (l *locator) volume(ctx context.Context, v *LogicalVolume, u use, pools map[string]error) (meta.Volume, error) {
	m := meta.Volume{
		Name: l.name(v.Name), Role: meta.RoleVolume, UUID: v.ID, Tags: v.Tags, Created: v.CreationTime, Host: strings.Clone(v.CreationHost),
	}
	for i, tag := range v.Tags { // the text would stay in memory for its parts
		m.Tags[i] = strings.Clone(tag)
	}
	if v.Err != nil {
		return m, v.Err
	}
	s := &v.Segments[0]
	m.Kind = strings.Clone(s.name())
	var err error
	if m.SizeBytes, err = l.bytes(v.extents()); err != nil {
		return m, err
	}
	switch {
	case u.snapshotOf != "":
		m.Kind, m.Parent = typeSnapshot, l.name(u.snapshotOf)
		return m, &TypeError{typeSnapshot, "it holds only how its origin differed: only the kernel reads that"}
	case u.merges != "":
		return m, fmt.Errorf("the snapshot %.80q is being merged into it: only the kernel reads that", u.merges)
	case s.Type == typeThin:
		return l.thin(m, v, u, pools)
	}
	m.Plain, err = l.locate(ctx, v, 0)
	return m, err
}

// thin describes a thin volume. m has what all volumes have.
func (l *locator) thin(m meta.Volume, v *LogicalVolume, u use, pools map[string]error) (meta.Volume, error) {
	s := &v.Segments[0]
	if flag := s.unknownFlag(); flag != "" {
		return m, &TypeError{s.Type + "+" + flag, "a flag that is not known: it needs a newer thintree"}
	}
	if len(v.Segments) > 1 {
		return m, fmt.Errorf("a thin volume with %d segments", len(v.Segments))
	}
	if s.Origin != "" {
		m.Parent = l.name(s.Origin)
	}
	switch err, ok := pools[s.ThinPool]; {
	case !ok:
		return m, fmt.Errorf("the group has no thin pool %.80q", s.ThinPool)
	case err != nil:
		return m, fmt.Errorf("its pool %.80s: %w", s.ThinPool, err)
	}
	if s.ExternalOrigin != "" {
		if origin, err := l.logical(s.ExternalOrigin); err != nil {
			return m, err
		} else if !origin.isVisible() {
			return m, fmt.Errorf("it reads blocks from %.80q, which is a part of another volume", s.ExternalOrigin)
		}
		m.ExternalOrigin = l.name(s.ExternalOrigin)
	}
	// The device in the pool has the transaction id of its segment. Then LVM raises the pool's.
	m.Pool, m.DeviceID, m.TransactionID = l.name(s.ThinPool), s.DeviceID, s.TransactionID+1
	if u.created {
		m.State = meta.StateHalf
	}
	return m, nil
}

// pool describes a thin pool.
func (l *locator) pool(ctx context.Context, v *LogicalVolume) (meta.Pool, error) {
	s := &v.Segments[0]
	if flag := s.unknownFlag(); flag != "" {
		return meta.Pool{}, &TypeError{s.Type + "+" + flag, "a flag that is not known: it needs a newer thintree"}
	}
	if len(v.Segments) > 1 {
		return meta.Pool{}, fmt.Errorf("a pool with %d segments", len(v.Segments))
	}
	p := meta.Pool{Name: l.name(v.Name), TransactionID: s.TransactionID, Device: deviceName(l.group.Name, v.Name, "tpool")}
	var err error
	if p.Metadata, err = l.half(ctx, s.Metadata); err != nil {
		return meta.Pool{}, err
	}
	if p.Data, err = l.half(ctx, s.Pool); err != nil {
		return meta.Pool{}, err
	}
	return p, nil
}

func (l *locator) half(ctx context.Context, name string) (block.Location, error) {
	v, err := l.logical(name)
	if err != nil {
		return block.Location{}, err
	}
	at, err := l.locate(ctx, v, 0)
	if err != nil {
		return block.Location{}, fmt.Errorf("%.80s: %w", name, err)
	}
	return at, nil
}

// name is the name of a volume or pool in a catalog.
func (l *locator) name(logical string) string { return l.group.Name + "/" + logical }

// deviceName is the name of a device-mapper device of LVM's. A hyphen in its parts is doubled.
func deviceName(parts ...string) string {
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, "-", "--")
	}
	return strings.Join(parts, "-")
}
