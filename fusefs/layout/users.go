package layout

import (
	"thintree/meta"
)

func (a *adder) addContainers() {
	for _, c := range inFolderOrder(a.Catalog.Containers, func(c *meta.Container) string { return c.Name }) {
		name := c.Name
		if name == "" {
			name = shortID(c.ID)
		}
		if v, name := a.link("containers", name, shortID(c.ID), c.Volume); name != "" {
			u := a.layout.users[v.Slot]
			u.Containers = append(u.Containers, User[meta.Container]{name, c})
			a.layout.users[v.Slot] = u
		}
	}
}

func (a *adder) addImages() {
	type tag struct {
		name  string
		image *meta.Image
	}
	var images []tag
	for i := range a.Catalog.Images {
		image := &a.Catalog.Images[i]
		names := image.Names
		if len(names) == 0 {
			names = []string{shortID(image.ID)}
		}
		for _, n := range names {
			images = append(images, tag{n, image})
		}
	}
	for _, i := range inFolderOrder(images, func(n *tag) string { return n.name }) {
		if v, name := a.link("images", i.name, shortID(i.image.ID), i.image.Volume); name != "" {
			u := a.layout.users[v.Slot]
			u.Images = append(u.Images, User[meta.Image]{name, i.image})
			a.layout.users[v.Slot] = u
		}
	}
}

func (a *adder) addSnapshots() {
	for _, s := range inFolderOrder(a.Catalog.Snapshots, func(s *meta.Snapshot) string { return s.Name }) {
		if v, name := a.link("snapshots", s.Name, "snapshot", s.Volume); name != "" {
			u := a.layout.users[v.Slot]
			u.Snapshots = append(u.Snapshots, User[meta.Snapshot]{name, s})
			a.layout.users[v.Slot] = u
		}
	}
}

// link adds a link to the folder of a volume in which a container, image or snapshot begins. It
// returns the volume and the name that the link got. The name is "" if the link cannot be shown.
func (a *adder) link(view, name, tag, volume string) (v *Volume, shown string) {
	v = a.byName[volume]
	if v == nil {
		a.Log.Warn("a container, image or snapshot has no volume", "view", view, "name", name, "volume", volume)
		return nil, ""
	}
	under, name := a.path(view), Escape(name)
	shown = a.add(under, name, Escape(tag), &Node{Target: a.linkTo(Join(under, name), v, v.Record.Root)})
	if shown == "" {
		a.Log.Warn("a name is taken, or too long", "view", view, "name", name, "id", tag)
	}
	return v, shown
}

// addOrigins finds the external origins of volumes.
func (a *adder) addOrigins() {
	for _, v := range a.byName {
		if name := v.Record.ExternalOrigin; name != "" {
			v.Origin = a.byName[name]
		}
	}
}
