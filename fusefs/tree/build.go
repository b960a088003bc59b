package tree

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"thintree/meta"
	"thintree/volfs"
)

// buildView lays out what the sources name. Its volumes are those of t.volumes
// where they are the same ones. Called with refreshing held.
func (t *Tree) buildView() *view {
	count := 0
	for _, s := range t.sources {
		count += s.count()
		s.layPools()
	}
	b, known := newBuilder(count), make(map[identity]*volume, count)
	for _, s := range t.sources {
		t.addSource(b, s, known)
	}
	b.layVolumes(t.volumes, known)
	for id, v := range t.volumes {
		if known[id] != v {
			v.gone.Store(true)
			t.slots.drop(v)
			t.leases.abandon(v)
		}
	}
	t.volumes = known
	when := time.Now()
	if t.view.Load() == nil {
		// The same at every mount of what has not changed.
		when = t.modified()
	}
	return b.build(t.view.Load(), when)
}

// modified is when the newest of the pools' metadata were last written.
func (t *Tree) modified() time.Time {
	var newest int64
	for _, s := range t.sources {
		for _, p := range s.pools {
			newest = max(newest, p.listing.Load().when)
		}
	}
	return time.Unix(0, newest)
}

// addSource lays out one source in its folder.
func (t *Tree) addSource(b *builder, s *source, known map[identity]*volume) {
	count := s.count()
	for _, view := range []string{"volumes", "raw", "info"} {
		b.expect(join(s.folder, view), count)
	}
	b.expect(join(s.folder, "containers"), len(s.cat.Containers))
	b.expect(join(s.folder, "images"), len(s.cat.Images))
	for view, err := range map[string]error{"containers": s.cat.ContainersLost, "images": s.cat.ImagesLost} {
		if err != nil {
			b.lose(join(s.folder, view), fmt.Errorf("there may be more: %w: %w", syscall.EIO, err))
		}
	}
	for _, view := range []string{"by-id", "pools"} {
		b.expect(join(s.folder, view), len(s.pools))
	}
	part := section{folder: s.folder, pools: s.pools, warnings: s.warnings}
	pools := make(map[string]*pool)
	for i, p := range s.pools {
		pools[p.name] = p
		name := p.name + ".json"
		if !validName(name) || b.add(join(s.folder, "pools"), name, strconv.Itoa(i), &node{pool: p}) == "" {
			t.log.Warn("a pool has a name that cannot be shown", "pool", p.name)
		}
	}

	// byName finds the volumes that containers and images mean, named the ids
	// that have a name.
	byName := make(map[string]*volume, count)
	named := make(map[*pool]map[uint32]*volume)
	for _, p := range s.pools {
		named[p] = make(map[uint32]*volume, len(p.ids()))
	}
	misfits := make(map[*pool][]*volume)
	records := inFolderOrder(s.cat.Volumes, func(v *meta.Volume) string { return v.Name })
	slices.SortStableFunc(records, func(x, y *meta.Volume) int { return deletedLast(x) - deletedLast(y) })
	for _, record := range records {
		p := pools[record.Pool]
		if p == nil {
			t.log.Warn("a volume is in no known pool", "volume", record.Name, "pool", record.Pool)
			continue
		}
		// What has the id is another volume's, or nobody's.
		beside := named[p][record.DeviceID] != nil || p.otherDevice(record.DeviceID, record.TransactionID) != nil
		v := t.addVolume(b, s, p, record, beside, known)
		if v == nil {
			continue
		}
		byName[record.Name] = v
		if !beside {
			named[p][record.DeviceID] = v
		}
		switch {
		case v.deleted():
			part.deleted = append(part.deleted, v)
		case p.noDevice(record) != nil:
			misfits[p] = append(misfits[p], v)
		}
	}
	for _, p := range s.pools {
		if err := p.tellMisfits(t.log, misfits[p]); err != nil {
			part.warnings = append(slices.Clip(part.warnings), err)
		}
	}
	b.view.parts = append(b.view.parts, part)
	for _, p := range s.pools {
		under := join(s.folder, "by-id/"+p.name)
		ids := p.ids()
		if len(ids) > 0 {
			b.expect(under, len(ids))
		}
		unnamed := len(named[p]) == 0
		for _, id := range ids {
			v := named[p][id]
			if v == nil {
				unnamed = true
				v = t.addVolume(b, s, p, s.unnamed(p, id), false, known)
			}
			if v != nil {
				b.add(under, strconv.FormatUint(uint64(id), 10), "", &node{target: s.linkTo(join(under, "x"), v, "")})
			}
		}
		if lost := p.listing.Load().lost; lost != nil {
			b.lose(under, lost)
			// Records name their volumes also if the pool has lost the ids.
			for _, view := range []string{"volumes", "raw", "info"} {
				if unnamed {
					b.lose(join(s.folder, view), lost)
				}
			}
		}
	}

	link := func(view, name, tag, volumeName string) {
		v := byName[volumeName]
		if v == nil {
			t.log.Warn("what a record names has no volume", "view", view, "name", name, "volume", volumeName)
			return
		}
		if !validName(name) {
			t.log.Warn("a name cannot be a path, its id is shown instead", "view", view, "name", name, "id", tag)
			name = tag
		}
		if !validName(name) {
			t.log.Warn("an id cannot be a path", "view", view, "id", tag)
			return
		}
		under := join(s.folder, view)
		name = b.add(under, name, tag, &node{target: s.linkTo(join(under, name), v, v.record().Root)})
		u := b.view.users[v]
		switch {
		case name == "":
			t.log.Warn("a name is taken", "view", view, "id", tag)
		case view == "containers":
			u.containers = append(u.containers, name)
		default:
			u.images = append(u.images, name)
		}
		b.view.users[v] = u
	}
	for _, c := range inFolderOrder(s.cat.Containers, func(c *meta.Container) string { return c.Name }) {
		name := c.Name
		if name == "" {
			name = shortID(c.ID)
		}
		link("containers", name, shortID(c.ID), c.Volume)
	}
	type tag struct{ name, id, volume string }
	var images []tag
	for _, i := range s.cat.Images {
		names := i.Names
		if len(names) == 0 {
			names = []string{shortID(i.ID)}
		}
		for _, n := range names {
			images = append(images, tag{n, shortID(i.ID), i.Volume})
		}
	}
	for _, i := range inFolderOrder(images, func(n *tag) string { return n.name }) {
		link("images", i.name, i.id, i.volume)
	}
}

// count is about how many volumes a source has.
func (s *source) count() int {
	ids := 0
	for _, p := range s.pools {
		ids += len(p.ids())
	}
	return max(ids, len(s.cat.Volumes))
}

// deletedLast is higher of what is deleted than of others, to sort by.
func deletedLast(v *meta.Volume) int {
	if v.State == meta.StateDeleted {
		return 1
	}
	return 0
}

// addVolume lays out a volume: the one that t.volumes holds of the same
// identity, or a new one. It is nil if it cannot be shown. What is deleted has its info, and
// no folder. beside says that what has the device id is not this volume, or another one too.
func (t *Tree) addVolume(b *builder, s *source, p *pool, record *meta.Volume, beside bool, known map[identity]*volume) *volume {
	name := record.Name
	if !validName(name) || !validName(name+".parts") {
		t.log.Warn("a volume has a name that cannot be a path", "volume", name, "id", record.DeviceID)
		return nil
	}
	number := uint64(record.DeviceID)*uint64(len(t.sources)) + s.rank
	if number > maxVolume || b.counts[number] == maxNames {
		t.log.Warn("there are no inode numbers left for a volume", "volume", name, "id", record.DeviceID)
		return nil
	}
	tag := strconv.FormatUint(uint64(record.DeviceID), 10)
	n := &node{root: &fsRoot{}} // until it is known which volume it is
	if record.State != meta.StateDeleted {
		switch shown := b.add(join(s.folder, "volumes"), name, tag, n); shown {
		case name:
		case "":
			t.log.Warn("a volume's name is taken", "volume", name, "id", record.DeviceID)
			return nil
		default:
			renamed := *record
			renamed.Name, record = shown, &renamed
		}
	}
	id := identityOf(p, record)
	v := t.volumes[id]
	if v == nil {
		v = &volume{identity: id}
		v.root = &fsRoot{vol: v, place: place{volume: number, layer: p.layer}}
		t.slots.add(v.root)
		if beside {
			b.beside = append(b.beside, v)
		} else {
			b.fresh = append(b.fresh, v)
		}
	}
	b.counts[number]++
	v.newest.Store(record)
	known[id] = v
	n.id, n.root = v.root.id(0), v.root
	b.add(join(s.folder, "info"), v.name+".json", tag, v.root.node(infoIno))
	if v.deleted() {
		return v
	}
	b.add(join(s.folder, "raw"), v.name+".img", tag, v.root.node(rawIno))
	if v.mayHavePartitions() {
		b.add(join(s.folder, "raw"), v.name+".parts", tag, v.root.node(partsIno))
	}
	return v
}

func (r *fsRoot) node(ino volfs.Ino) *node { return &node{id: r.id(ino), root: r} }

// unnamed is the record of an id that no record names.
func (s *source) unnamed(p *pool, id uint32) *meta.Volume {
	name := "@" + strconv.FormatUint(uint64(id), 10)
	if len(s.pools) > 1 {
		name = "@" + p.name + "-" + strconv.FormatUint(uint64(id), 10)
	}
	return &meta.Volume{Name: name, Pool: p.name, DeviceID: id, Role: meta.RoleVolume}
}

// linkTo is the target of a link at a path in the tree to a folder in a volume, or to
// the info of one that is deleted and has no folder.
func (s *source) linkTo(from string, v *volume, inside string) string {
	up := strings.Repeat("../", strings.Count(strings.TrimPrefix(from, s.folder+"/"), "/"))
	if v.deleted() {
		return up + "info/" + v.name + ".json"
	}
	return path.Join(up+"volumes/"+v.name, inside)
}

// inFolderOrder sorts so that names which make folders come first: a folder has
// its name for sure, a link can take another.
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

// shortID is an id as docker shows it: 12 digits, without the name of its hash.
func shortID(id string) string {
	if i := strings.IndexByte(id, ':'); i >= 0 {
		id = id[i+1:]
	}
	return id[:min(len(id), 12)]
}

// sourceFolder is a source's name as a folder: "docker:/var/lib/docker" becomes
// "docker-docker", "pool:a/meta,a/data" becomes "pool-meta".
func sourceFolder(name string) string {
	kind, where, ok := strings.Cut(name, ":")
	if !ok {
		kind, where = "source", name
	}
	where, _, _ = strings.Cut(where, ",")
	return fmt.Sprintf("%s-%s", kind, path.Base(where))
}
