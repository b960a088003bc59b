package tree

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"thintree/fusefs/layout"
)

// VolumeRef is the name and the node of a volume.
type VolumeRef struct {
	Name string // as Find takes it
	ID   NodeID
	// Deleted says that its owner has deleted it: it has no folder in the tree.
	Deleted bool
	// Aliases are the containers, images and snapshots that the volume belongs to, as Find takes
	// them: "container:web", "image:web:2".
	Aliases []string
}

// Volumes lists all volumes. It opens nothing.
func (t *Tree) Volumes(ctx context.Context) []VolumeRef {
	l := t.current(ctx)
	volumes := l.Volumes()
	list := make([]VolumeRef, len(volumes))
	for i, v := range volumes {
		r := VolumeRef{Name: v.Name(), ID: v.Slot.ID(0), Deleted: v.Record.Deleted()}
		users := l.Users(v.Slot)
		for _, c := range users.Containers {
			r.Aliases = append(r.Aliases, "container:"+c.Name)
		}
		for _, i := range users.Images {
			r.Aliases = append(r.Aliases, "image:"+i.Name)
		}
		for _, s := range users.Snapshots {
			r.Aliases = append(r.Aliases, "snapshot:"+s.Name)
		}
		list[i] = r
	}
	return list
}

// Find finds a volume by a name that a person gives it: its name or the beginning of it, "@"
// and its device id, or "container:", "image:" or "snapshot:" and a name. For the last three the entry
// is the container's, image's or snapshot's root folder. An image without a tag is the one with the
// tag latest.
func (t *Tree) Find(ctx context.Context, name string) (Entry, error) {
	l := t.current(ctx)
	for _, path := range slices.Concat(l.Meant(name)...) {
		switch n := l.Find(path); {
		case n == nil:
		case n.Target != "":
			e, err := t.Walk(ctx, RootID, path, true)
			if err != nil || !e.ID.IsFile() {
				return e, err
			}
			r, err := t.root(e.ID)
			if err == nil && r.Ino(e.ID) == layout.InfoIno { // the volume has no folder
				return t.rootEntry(ctx, r)
			}
			return e, err
		case n.Volume != nil:
			return t.Stat(ctx, n.ID())
		}
	}
	var found []VolumeRef
	for _, r := range t.Volumes(ctx) {
		if name != "" && strings.HasPrefix(r.Name, name) {
			found = append(found, r)
		}
	}
	// A deleted volume is found by its whole name, or if no other volume's name begins like this.
	for _, r := range found {
		if r.Name == name {
			found = []VolumeRef{r}
		}
	}
	if kept := slices.DeleteFunc(slices.Clone(found), func(r VolumeRef) bool { return r.Deleted }); len(kept) > 0 && len(found) > 1 {
		found = kept
	}
	slices.SortFunc(found, func(x, y VolumeRef) int { return strings.Compare(x.Name, y.Name) })
	// The name of a container's volume is also the beginning of its -init volume's name.
	if len(found) == 2 && found[1].Name == found[0].Name+"-init" {
		found = found[:1]
	}
	switch len(found) {
	case 1:
		return t.Stat(ctx, found[0].ID)
	case 0:
		for _, s := range l.Sections {
			for _, p := range s.Pools {
				if lost := p.Lost(); lost != nil {
					return Entry{}, fmt.Errorf("%q: no such volume is known: %w", name, lost)
				}
			}
		}
		return Entry{}, fmt.Errorf("%q: no such volume: thintree ls lists their names: %w", name, syscall.ENOENT)
	}
	return Entry{}, fmt.Errorf("%s: %d volumes begin like this (%s, %s, …): %w", name, len(found), found[0].Name, found[1].Name, syscall.ENOENT)
}
