package layout

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"thintree/meta"
	"thintree/volfs"
)

// fakePool is a pool with the devices that a test sets.
type fakePool struct {
	name    string
	ids     []uint32
	lost    error
	foreign bool // all records describe devices of another pool
}

func (p *fakePool) Name() string  { return p.name }
func (p *fakePool) IDs() []uint32 { return p.ids }
func (p *fakePool) Lost() error   { return p.lost }

func (p *fakePool) Identity(r *meta.Volume) any {
	return fmt.Sprint(p.name, " ", r.Name, " ", r.DeviceID, " ", r.TransactionID)
}

func (p *fakePool) OtherDevice(*meta.Volume) error {
	if p.foreign {
		return errors.New("another device")
	}
	return nil
}

func (p *fakePool) NoDevice(r *meta.Volume) error {
	if !slices.Contains(p.ids, r.DeviceID) {
		return errors.New("no device")
	}
	return p.OtherDevice(r)
}

func volumeOf(name string, id uint32) meta.Volume {
	return meta.Volume{Name: name, Pool: "pool", DeviceID: id, Role: meta.RoleVolume}
}

// sourceOf is a source with one pool, which has the devices 1 to 9.
func sourceOf(c meta.Catalog) Source {
	c.Pools = []meta.Pool{{Name: "pool"}}
	return Source{Pools: []Pool{&fakePool{name: "pool", ids: []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9}}}, Catalog: &c}
}

// lay builds a layout. before is the layout before it.
func lay(before *Layout, sources ...Source) (*Layout, Changes) {
	return Build(sources, before, Options{Now: time.Unix(1, 0), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

// paths lists the paths of all nodes, with the targets of links.
func paths(l *Layout) (list []string) {
	var walk func(n *Node)
	walk = func(n *Node) {
		for _, e := range n.After(0) {
			path := e.Path()
			if e.Target != "" {
				path += " -> " + e.Target
			}
			list = append(list, path)
			walk(e)
		}
	}
	walk(l.Root)
	slices.Sort(list)
	return list
}

func TestLayoutHasVolumesContainersAndImages(t *testing.T) {
	t.Parallel()
	v := volumeOf("group/v", 3)
	v.Root, v.Role = "rootfs", meta.RoleContainer
	s := sourceOf(meta.Catalog{
		Volumes:    []meta.Volume{v},
		Containers: []meta.Container{{ID: "0123456789abcdef", Name: "web", Volume: "group/v"}, {ID: "fedcba9876543210", Volume: "group/v"}},
		Images:     []meta.Image{{ID: "sha256:00112233445566", Names: []string{"org/image:1"}, Volume: "group/v"}},
	})
	s.Pools = []Pool{&fakePool{name: "pool", ids: []uint32{3, 5}}}
	l, changes := lay(nil, s)
	want := []string{
		"by-id", "by-id/pool", "by-id/pool/3 -> ../../volumes/group/v", "by-id/pool/5 -> ../../volumes/@5",
		"containers", "containers/fedcba987654 -> ../volumes/group/v/rootfs", "containers/web -> ../volumes/group/v/rootfs",
		"images", "images/org", "images/org/image:1 -> ../../volumes/group/v/rootfs",
		"info", "info/@5.json", "info/group", "info/group/v.json",
		"pools", "pools/pool.json",
		"raw", "raw/@5.img", "raw/@5.parts", "raw/group", "raw/group/v.img",
		"volumes", "volumes/@5", "volumes/group", "volumes/group/v",
	}
	slices.Sort(want)
	if got := paths(l); !slices.Equal(got, want) {
		t.Errorf("paths:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(changes.Fresh) != 2 || changes.Kept != nil || changes.Gone != nil {
		t.Errorf("%+v", changes)
	}
	u := l.Users(l.VolumeAt("containers/web").Slot)
	containers := namesOf(u.Containers)
	slices.Sort(containers)
	if !slices.Equal(containers, []string{"fedcba987654", "web"}) || !slices.Equal(namesOf(u.Images), []string{"org/image:1"}) {
		t.Errorf("users %+v", u)
	}
}

func namesOf[T any](users []User[T]) (names []string) {
	for _, u := range users {
		names = append(names, u.Name)
	}
	return names
}

func TestUnchangedVolumesKeepTheirNodesAndGoneOnesAreReturned(t *testing.T) {
	t.Parallel()
	source := func(volumes ...meta.Volume) Source { return sourceOf(meta.Catalog{Volumes: volumes}) }
	first, _ := lay(nil, source(volumeOf("a", 1), volumeOf("b", 2)))
	var slots Slots[*Volume]
	for _, v := range first.Volumes() {
		slots.Add(v.Slot, v)
	}
	changed := volumeOf("a", 1)
	changed.Parent = "base"
	made := volumeOf("b", 2)
	made.TransactionID = 7 // another device
	second, changes := lay(first, source(changed, made))
	names := func(list []*Volume) (names []string) {
		for _, v := range list {
			names = append(names, v.Name())
		}
		slices.Sort(names)
		return names
	}
	if got := names(changes.Gone); !slices.Equal(got, []string{"b"}) || names(changes.Fresh)[0] != "b" || len(changes.Fresh) != 1 {
		t.Errorf("gone %v, fresh %v", got, names(changes.Fresh))
	}
	if a := second.Find("volumes/a"); a.ID() != first.Find("volumes/a").ID() || a.Volume.Record.Parent != "base" {
		t.Errorf("a is node %x, and was %x", a.ID(), first.Find("volumes/a").ID())
	}
	if second.Find("by-id").ID() != first.Find("by-id").ID() {
		t.Error("a folder has another node")
	}
}

func TestVolumeIsFoundThroughLinksAndPaths(t *testing.T) {
	t.Parallel()
	v := volumeOf("group/v", 3)
	v.Root = "rootfs"
	l, _ := lay(nil, sourceOf(meta.Catalog{Volumes: []meta.Volume{v}, Containers: []meta.Container{{ID: "1", Name: "web", Volume: "group/v"}}}))
	for path, found := range map[string]bool{
		"volumes/group/v": true, "/volumes//group/../group/v/etc/passwd": true, "containers/web/etc": true, "by-id/pool/3": true,
		"info/group/v.json": true, "volumes/group": false, "volumes": false, "": false, "nothing/here": false, "pools/pool.json": false,
	} {
		if got := l.VolumeAt(path); (got != nil) != found || found && got.Record.DeviceID != 3 {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestFolderThatMayHaveMoreEntriesSaysSo(t *testing.T) {
	t.Parallel()
	s := sourceOf(meta.Catalog{ContainersLost: syscall.EACCES})
	s.Pools = []Pool{&fakePool{name: "pool", ids: []uint32{1}, lost: syscall.EIO}}
	l, _ := lay(nil, s)
	for _, path := range []string{"containers", "volumes", "raw", "info", "by-id/pool"} {
		if n := l.Find(path); n == nil || !errors.Is(n.Lost(), syscall.EIO) {
			t.Errorf("%s: %+v", path, n)
		}
	}
	if n := l.Find("images"); n.Lost() != nil {
		t.Errorf("images: %v", n.Lost())
	}
}

func TestVolumesWithoutADeviceAreReturned(t *testing.T) {
	t.Parallel()
	s := sourceOf(meta.Catalog{Volumes: []meta.Volume{volumeOf("there", 1), volumeOf("missing", 10)}})
	l, _ := lay(nil, s)
	if m := l.Sections[0].Misfits[0]; len(m) != 1 || m[0].Name() != "missing" {
		t.Errorf("%v", m)
	}
	s.Pools[0].(*fakePool).foreign = true
	if l, _ = lay(nil, s); len(l.Sections[0].Misfits[0]) != 2 {
		t.Errorf("%v", l.Sections[0].Misfits[0])
	}
}

// sameNumber are names whose links in containers/ hash to the same inode number.
var sameNumber = []string{"16692736", "22647684"}

func TestLinksThatHashToOneInodeNumberGetTwo(t *testing.T) {
	t.Parallel()
	a, b := hashOf("containers/"+sameNumber[0]), hashOf("containers/"+sameNumber[1])
	if viewID(a) != viewID(b) {
		t.Fatal("the names hash to different numbers")
	}
	numbersOf := func(l *Layout, names ...string) (list []NodeID) {
		for _, name := range names {
			list = append(list, l.Find("containers/"+name).ID())
		}
		return list
	}
	container := func(name string) meta.Container {
		return meta.Container{ID: "c" + name, Name: name, Volume: "v"}
	}
	source := func(containers ...meta.Container) Source {
		return sourceOf(meta.Catalog{Volumes: []meta.Volume{volumeOf("v", 1)}, Containers: containers})
	}
	both := []meta.Container{container(sameNumber[0]), container(sameNumber[1])}
	one, _ := lay(nil, source(both...))
	first := numbersOf(one, sameNumber...)
	if first[0] == first[1] {
		t.Errorf("both have number %d", first[0])
	}
	other, _ := lay(nil, source(both[1], both[0]))
	if again := numbersOf(other, sameNumber...); !slices.Equal(again, first) {
		t.Errorf("numbers %d, and %d in another layout", first, again)
	}
	for i, name := range sameNumber {
		alone, _ := lay(nil, source(container(name)))
		was := numbersOf(alone, name)
		next, _ := lay(alone, source(both...))
		now := numbersOf(next, sameNumber...)
		if now[i] != was[0] || now[0] == now[1] {
			t.Errorf("number %d, and %d since the other link was added", was, now)
		}
		s := source(both...)
		s.Catalog.Volumes = append(s.Catalog.Volumes, volumeOf("w", 2))
		last, _ := lay(next, s)
		if again := numbersOf(last, sameNumber...); !slices.Equal(again, now) {
			t.Errorf("numbers %d, and %d since another volume was added", now, again)
		}
	}
}

func TestLinksInTwoFoldersThatHashToOneNumberKeepTheirsInEveryLayout(t *testing.T) {
	t.Parallel()
	const container, image = "5684112", "1610484"
	if viewID(hashOf("containers/"+container)) != viewID(hashOf("images/"+image)) {
		t.Fatal("the paths hash to different numbers")
	}
	s := sourceOf(meta.Catalog{
		Volumes:    []meta.Volume{volumeOf("v", 1)},
		Containers: []meta.Container{{ID: "c", Name: container, Volume: "v"}},
		Images:     []meta.Image{{ID: "i", Names: []string{image}, Volume: "v"}},
	})
	var first []NodeID
	for range 20 { // each Build numbers the folders in another order
		l, _ := lay(nil, s)
		now := []NodeID{l.Find("containers/" + container).ID(), l.Find("images/" + image).ID()}
		if first == nil {
			first = now
		}
		if now[0] == now[1] || !slices.Equal(now, first) {
			t.Fatalf("numbers %d, and %d in another layout", first, now)
		}
	}
}

func TestPlaceIsAChainOfSteps(t *testing.T) {
	t.Parallel()
	whole := Place{}
	p2 := whole.Partition(2)
	inner := p2.Partition(1)
	group := p2.Then(Step{Kind: StepGroup, Name: "p1"})
	root := group.Then(Step{Kind: StepVolume, Name: "root"})
	for _, c := range []struct {
		place, outer Place
		last         Step
		path, below  string
	}{
		{whole, whole, Step{}, "", "vm"},
		{p2, whole, Step{Number: 2}, "p2", "vm/p2"},
		{inner, p2, Step{Number: 1}, "p2/p1", "vm/p2/p1"},
		{group, p2, Step{Kind: StepGroup, Name: "p1"}, "p2/p1", "vm/p2/p1"},
		{root, group, Step{Kind: StepVolume, Name: "root"}, "p2/p1/root", "vm/p2/p1/root"},
	} {
		outer, last := c.place.Last()
		if outer != c.outer || last != c.last || c.place.String() != c.path || c.place.Below("vm") != c.below {
			t.Errorf("%q: step %v in %q, %q", c.place, last, outer, c.place.Below("vm"))
		}
	}
	var s Slots[Place]
	disk := &Slot{address: address{volume: 3}}
	numbers := make(map[uint64]Place)
	for _, p := range []Place{whole, p2, inner, p2.Partition(2), p2.Partition(1).Partition(1), whole.Partition(999), group, root} {
		slot := disk.At("vm", p)
		s.Add(slot, p)
		for _, ino := range []volfs.Ino{2, 5, 1 << 40} {
			id, err := slot.FileID(ino, 2)
			n := slot.InodeNumber(id)
			if other, taken := numbers[n]; taken || err != nil || s.Get(id) != p {
				t.Errorf("inode %d at %q has number %d, as one at %q: %v", ino, p, n, other, err)
			}
			numbers[n] = p
		}
	}
}

// fakePlain identifies plain volumes by their names.
type fakePlain struct{}

func (fakePlain) Identity(r *meta.Volume) any { return "plain " + r.Name }

func TestVolumesWithoutAPoolHaveNoIDs(t *testing.T) {
	t.Parallel()
	s := sourceOf(meta.Catalog{
		Volumes:   []meta.Volume{{Name: "vg/linear", Role: meta.RoleVolume}, {Name: "vg/thin", Pool: "vg/pool", DeviceID: 3, Role: meta.RoleLayer}},
		Snapshots: []meta.Snapshot{{Name: "ns/sha256:1", Volume: "vg/thin"}},
	})
	s.Plain, s.Pools = fakePlain{}, []Pool{&fakePool{name: "vg/pool", ids: []uint32{3, 7}}}
	l, changes := lay(nil, s)
	want := []string{
		"by-id", "by-id/vg", "by-id/vg/pool", "by-id/vg/pool/3 -> ../../../volumes/vg/thin", "by-id/vg/pool/7 -> ../../../volumes/vg/@pool-7",
		"containers", "images",
		"info", "info/vg", "info/vg/@pool-7.json", "info/vg/linear.json", "info/vg/thin.json",
		"pools", "pools/vg", "pools/vg/pool.json",
		"raw", "raw/vg", "raw/vg/@pool-7.img", "raw/vg/@pool-7.parts", "raw/vg/linear.img", "raw/vg/linear.parts", "raw/vg/thin.img",
		"snapshots", "snapshots/ns", "snapshots/ns/sha256:1 -> ../../volumes/vg/thin",
		"volumes", "volumes/vg", "volumes/vg/@pool-7", "volumes/vg/linear", "volumes/vg/thin",
	}
	slices.Sort(want)
	if got := paths(l); !slices.Equal(got, want) {
		t.Errorf("paths:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	numbers := make(map[uint64]bool)
	for _, v := range changes.Fresh {
		numbers[v.Slot.inodeNumber(2)] = true
	}
	if len(numbers) != 3 {
		t.Errorf("%d inode numbers for three volumes", len(numbers))
	}
	if got := namesOf(l.Users(l.VolumeAt("snapshots/ns/sha256:1").Slot).Snapshots); !slices.Equal(got, []string{"ns/sha256:1"}) {
		t.Errorf("the volume's snapshots are %q", got)
	}
}

func TestNamesAreMeantInEachSource(t *testing.T) {
	t.Parallel()
	one, two := sourceOf(meta.Catalog{}), sourceOf(meta.Catalog{})
	one.Folder, two.Folder, two.Rank = "docker-a", "lvm-b", 1
	l, _ := lay(nil, one, two)
	for name, want := range map[string][][]string{
		"base":           {{"docker-a/volumes/base"}, {"lvm-b/volumes/base"}},
		"lvm-b/vg/root":  {{"lvm-b/volumes/vg/root"}},
		"container:a/b":  {{"docker-a/containers/a/b"}, {"lvm-b/containers/a/b"}},
		"lvm-b/@7":       {{"lvm-b/by-id/pool/7", "lvm-b/volumes/@7"}},
		"docker-a/v\xfe": {{"docker-a/volumes/v\xfe", "docker-a/volumes/v%FE"}},
	} {
		if got := l.Meant(name); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%q means %q, want %q", name, got, want)
		}
	}
}
