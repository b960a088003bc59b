package layout

import (
	"cmp"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"thintree/meta"
)

// Source is a source as Build takes it.
type Source struct {
	Folder  string // its folder in the tree, "" if it is the only source
	Rank    uint64 // its position among all sources in the order of their names
	Pools   []Pool
	Plain   Plain
	Catalog *meta.Catalog
}

// Options say how a layout is built.
type Options struct {
	// Now is the time that new and changed nodes get.
	Now time.Time
	// Log gets a warning for each name that cannot be shown; not nil.
	Log *slog.Logger
}

// Changes are the differences between the volumes of two layouts.
type Changes struct {
	// Fresh are the volumes that the layout before does not have. Their slots are in no Slots
	// yet: the caller adds them before it uses the layout.
	Fresh []*Volume
	// Kept are the volumes that both layouts have, from the new one.
	Kept []*Volume
	// Gone are the volumes that only the layout before has.
	Gone []*Volume
}

// Build makes the layout of sources. before is the current layout, nil if there is none.
func Build(sources []Source, before *Layout, o Options) (*Layout, Changes) {
	count := 0
	for _, s := range sources {
		count += s.count()
	}
	b := newBuilder(o, before, count)
	for i, s := range sources {
		b.addSource(i, s, uint64(len(sources)))
	}
	b.layVolumes()
	var c Changes
	c.Fresh = slices.Concat(b.fresh, b.beside)
	for id, v := range b.layout.volumes {
		if before != nil && before.volumes[id] != nil {
			c.Kept = append(c.Kept, v)
		}
	}
	if before != nil {
		for id, v := range before.volumes {
			if b.layout.volumes[id] == nil {
				c.Gone = append(c.Gone, v)
			}
		}
	}
	return b.finish(o.Now), c
}

// addSource adds one source in its folder.
func (b *builder) addSource(i int, s Source, sources uint64) {
	a := &adder{builder: b, Source: s, sources: sources, byName: make(map[string]*Volume, s.count()), named: make(map[Pool]map[uint32]*Volume)}
	a.section = Section{Folder: s.Folder, Pools: s.Pools, Plain: s.Plain, Misfits: make([][]*Volume, len(s.Pools)), layers: b.layersBefore(i)}
	a.section.layPools(s)
	b.expect(a.path("volumes"), s.count())
	b.expect(a.path("containers"), len(s.Catalog.Containers))
	b.expect(a.path("images"), len(s.Catalog.Images))
	if len(s.Catalog.Snapshots) > 0 {
		b.expect(a.path("snapshots"), len(s.Catalog.Snapshots))
	}
	for view, err := range map[string]error{"containers": s.Catalog.ContainersLost, "images": s.Catalog.ImagesLost, "snapshots": s.Catalog.SnapshotsLost} {
		if err != nil {
			b.lose(a.path(view), fmt.Errorf("there may be more: %w: %w", syscall.EIO, err))
		}
	}
	for _, view := range []string{"by-id", "pools"} {
		b.expect(a.path(view), len(s.Pools))
	}
	a.addPools()
	a.addRecorded()
	for _, p := range s.Pools {
		a.addIDs(p)
	}
	a.mirrorVolumes("raw", rawMirror)
	a.mirrorVolumes("info", infoMirror)
	a.addOrigins()
	a.addContainers()
	a.addImages()
	a.addSnapshots()
	b.layout.Sections = append(b.layout.Sections, a.section)
}

// adder adds one source to a layout.
type adder struct {
	*builder
	Source
	sources uint64 // how many sources there are
	section Section
	byName  map[string]*Volume          // the volumes by their recorded names
	named   map[Pool]map[uint32]*Volume // the volumes by pool and device id, if a record names them
}

// path is the path of something in the source's folder.
func (a *adder) path(name string) string { return Join(a.Folder, name) }

func (a *adder) addPools() {
	for i, p := range a.Pools {
		if a.add(a.path("pools"), Escape(p.Name())+".json", strconv.Itoa(i), &Node{folder: &folder{pool: p}}) == "" {
			a.Log.Warn("a pool's name is taken, or too long", "pool", p.Name())
		}
	}
}

// addRecorded adds the volumes that have records.
func (a *adder) addRecorded() {
	pools := make(map[string]int)
	for i, p := range a.Pools {
		pools[p.Name()] = i
		a.named[p] = make(map[uint32]*Volume, len(p.IDs()))
	}
	records := inFolderOrder(a.Catalog.Volumes, func(v *meta.Volume) string { return v.Name })
	slices.SortStableFunc(records, func(x, y *meta.Volume) int { return deletedLast(x) - deletedLast(y) })
	for _, record := range records {
		if !record.IsThin() {
			if v := a.addVolume(nil, record, false); v != nil {
				a.byName[record.Name] = v
			}
			continue
		}
		i, ok := pools[record.Pool]
		if !ok {
			a.Log.Warn("a volume is in no known pool", "volume", record.Name, "pool", record.Pool)
			continue
		}
		p := a.Pools[i]
		// The device with the id may belong to another volume, or to none.
		beside := a.named[p][record.DeviceID] != nil || p.OtherDevice(record) != nil
		v := a.addVolume(p, record, beside)
		if v == nil {
			continue
		}
		a.byName[record.Name] = v
		if !beside {
			a.named[p][record.DeviceID] = v
		}
		switch {
		case v.Record.Deleted():
			a.section.Deleted = append(a.section.Deleted, v)
		case p.NoDevice(record) != nil:
			a.section.Misfits[i] = append(a.section.Misfits[i], v)
		}
	}
}

// addIDs adds all device ids of a pool, and the volumes that have no record.
func (a *adder) addIDs(p Pool) {
	under := a.path("by-id/" + Escape(p.Name()))
	ids := p.IDs()
	if len(ids) > 0 {
		a.expect(under, len(ids))
	}
	unnamed, link := len(a.named[p]) == 0, Join(under, "ID")
	for _, id := range ids {
		v := a.named[p][id]
		if v == nil {
			unnamed = true
			v = a.addVolume(p, a.unnamed(p, id), false)
		}
		if v != nil {
			a.add(under, strconv.FormatUint(uint64(id), 10), "", &Node{Target: a.linkTo(link, v, "")})
		}
	}
	if lost := p.Lost(); lost != nil {
		a.lose(under, lost)
		// Volumes with records are shown even if the ids cannot be listed.
		for _, view := range []string{"volumes", "raw", "info"} {
			if unnamed {
				a.lose(a.path(view), lost)
			}
		}
	}
}

// count is roughly how many volumes a source has.
func (s *Source) count() int {
	ids := 0
	for _, p := range s.Pools {
		ids += len(p.IDs())
	}
	return max(ids, len(s.Catalog.Volumes))
}

// deletedLast is a sort key that puts deleted volumes last.
func deletedLast(v *meta.Volume) int {
	if v.Deleted() {
		return 1
	}
	return 0
}

// addVolume adds a volume, and returns nil if it cannot be shown. A deleted volume gets its info
// and no folder. The pool is nil if the volume is not in one. beside says that the device with the
// id is not this volume's, or that it is also another volume's.
func (a *adder) addVolume(p Pool, record *meta.Volume, beside bool) *Volume {
	name, id, of, layer := Escape(record.Name), plainID(record), a.Plain, uint8(0)
	if p != nil {
		id, of, layer = uint64(record.DeviceID), p, a.section.layers[p.Name()]
	}
	number := id*a.sources + a.Rank
	if number > maxVolume || a.counts[number] == maxNames {
		a.Log.Warn("there are no inode numbers left for a volume", "volume", name, "id", id)
		return nil
	}
	tag := strconv.FormatUint(id, 10)
	v := &Volume{Pool: p, tag: tag}
	if !record.Deleted() {
		if name = a.add(a.path("volumes"), name, tag, &Node{Volume: v}); name == "" {
			a.Log.Warn("a volume's name is taken, or too long", "volume", record.Name, "id", id)
			return nil
		}
	}
	if name != record.Name {
		renamed := *record
		renamed.Name, record = name, &renamed
	}
	v.Record, v.Identity = record, of.Identity(record)
	if old := a.volumeBefore(v.Identity); old != nil {
		v.Slot = old.Slot
	} else {
		v.Slot = &Slot{name: v.Name(), address: address{volume: number, layer: layer}}
		if beside {
			a.beside = append(a.beside, v)
		} else {
			a.fresh = append(a.fresh, v)
		}
	}
	a.counts[number]++
	a.layout.volumes[v.Identity] = v
	if v.Record.Deleted() { // the others have theirs by mirrorVolumes
		info := v.Name() + ".json"
		if a.isTaken(v.Name()) {
			info += "@" + tag
		}
		a.add(a.path("info"), info, tag, &Node{Volume: v, number: uint64(InfoIno)})
	}
	return v
}

// unnamed makes a record for a device that has none.
func (a *adder) unnamed(p Pool, id uint32) *meta.Volume {
	name := "@" + strconv.FormatUint(uint64(id), 10)
	if group, pool, ok := strings.Cut(p.Name(), "/"); ok {
		name = group + "/@" + pool + "-" + name[1:]
	} else if len(a.Pools) > 1 {
		name = "@" + p.Name() + "-" + name[1:]
	}
	return &meta.Volume{Name: name, Pool: p.Name(), DeviceID: id, Role: meta.RoleVolume}
}

// plainID stands for the device id of a volume that is in no pool, in its inode numbers. Thin
// devices rarely have ids that are as high.
func plainID(record *meta.Volume) uint64 {
	return 1<<23 | hashOf(cmp.Or(record.UUID, record.Name))&(1<<23-1)
}

// linkTo is the target of a link at the path from in the tree to the folder inside of a volume.
// For a deleted volume, which has no folder, it leads to the volume's info.
func (a *adder) linkTo(from string, v *Volume, inside string) string {
	up := strings.Repeat("../", strings.Count(strings.TrimPrefix(from, a.Folder+"/"), "/"))
	if v.Record.Deleted() {
		return up + "info/" + v.Name() + ".json"
	}
	return strings.TrimSuffix(up+"volumes/"+v.Name()+"/"+inside, "/")
}

// inFolderOrder sorts items so that names with slashes come first. A folder must get its own
// name, and a volume or link of the same name can get another one.
func inFolderOrder[T any](items []T, name func(*T) string) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	slices.SortStableFunc(out, func(x, y *T) int {
		a, b := strings.Count(name(x), "/"), strings.Count(name(y), "/")
		if a != b {
			return b - a
		}
		return strings.Compare(name(x), name(y))
	})
	return out
}

// shortID is an id as docker shows it: its first 12 digits, without the name of the hash.
func shortID(id string) string {
	if i := strings.IndexByte(id, ':'); i >= 0 {
		id = id[i+1:]
	}
	return id[:min(len(id), 12)]
}

// Folders are the names of the folders of several sources. Each consists of the source's kind and
// the last part of its path, and of a number if two sources have these in common. The folder of
// "docker:/var/lib/docker" is "docker-docker", that of "pool:a/meta,a/data" is "pool-meta".
func Folders(names []string) []string {
	folders, count := make([]string, len(names)), make(map[string]int)
	for i, name := range names {
		kind, where, ok := strings.Cut(name, ":")
		if !ok {
			kind, where = "source", name
		}
		where, _, _ = strings.Cut(where, ",")
		folders[i] = fmt.Sprintf("%s-%s", kind, path.Base(where))
		count[folders[i]]++
	}
	for i, folder := range folders {
		if count[folder] > 1 {
			folders[i] = fmt.Sprintf("%s-%d", folder, i+1)
		}
	}
	return folders
}
