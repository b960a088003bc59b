package tree

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// VolumeRef is a volume by its name.
type VolumeRef struct {
	Name string // as Find takes it
	ID   NodeID
	// Deleted says that its owner has deleted it: it has no folder in the tree.
	Deleted bool
	// Aliases are the containers and images that the volume is of, as Find takes
	// them: "container:web", "image:web:2".
	Aliases []string
}

// Volumes lists all volumes by name. It opens nothing.
func (t *Tree) Volumes(ctx context.Context) []VolumeRef {
	v := t.current(ctx)
	var list []VolumeRef
	var walk func(n *node)
	walk = func(n *node) {
		for _, e := range n.entries {
			if e.root == nil {
				walk(e)
				continue
			}
			list = append(list, v.ref(e.root.vol, e.id))
		}
	}
	for _, s := range v.parts {
		if n := v.find(join(s.folder, "volumes")); n != nil {
			list = slices.Grow(list, len(n.entries))
			walk(n)
		}
		for _, gone := range s.deleted {
			list = append(list, v.ref(gone, gone.root.id(0)))
		}
	}
	return list
}

func (v *view) ref(vol *volume, id NodeID) VolumeRef {
	r := VolumeRef{Name: vol.name, ID: id, Deleted: vol.deleted()}
	users := v.users[vol]
	for _, name := range users.containers {
		r.Aliases = append(r.Aliases, "container:"+name)
	}
	for _, name := range users.images {
		r.Aliases = append(r.Aliases, "image:"+name)
	}
	return r
}

// Find finds what a person calls a volume: its name or the beginning of one, @
// and a device id, or container: or image: and a name, which begin at their root
// folder. An image without a tag is the one that is tagged latest.
func (t *Tree) Find(ctx context.Context, name string) (Entry, error) {
	v := t.current(ctx)
	for _, path := range v.meant(name) {
		switch n := v.find(path); {
		case n == nil:
		case n.target != "":
			e, err := t.Walk(ctx, RootID, path, true)
			if err == nil && e.ID.isFile() && e.ID.ino() == infoIno { // of what has no folder
				return t.rootOf(ctx, e.ID)
			}
			return e, err
		case n.root != nil:
			return t.Stat(ctx, n.id)
		}
	}
	var found []VolumeRef
	for _, r := range t.Volumes(ctx) {
		if name != "" && strings.HasPrefix(r.Name, name) {
			found = append(found, r)
		}
	}
	// What is deleted is found by its whole name, or if nothing else is meant.
	for _, r := range found {
		if r.Name == name {
			found = []VolumeRef{r}
		}
	}
	if kept := slices.DeleteFunc(slices.Clone(found), func(r VolumeRef) bool { return r.Deleted }); len(kept) > 0 && len(found) > 1 {
		found = kept
	}
	slices.SortFunc(found, func(x, y VolumeRef) int { return strings.Compare(x.Name, y.Name) })
	// The name of a container's volume begins that of its -init volume too.
	if len(found) == 2 && found[1].Name == found[0].Name+"-init" {
		found = found[:1]
	}
	switch len(found) {
	case 1:
		return t.Stat(ctx, found[0].ID)
	case 0:
		for _, s := range v.parts {
			for _, p := range s.pools {
				if lost := p.listing.Load().lost; lost != nil {
					return Entry{}, fmt.Errorf("%q: no such volume is known: %w", name, lost)
				}
			}
		}
		return Entry{}, fmt.Errorf("%q: no such volume: thintree ls tells their names: %w", name, syscall.ENOENT)
	}
	return Entry{}, fmt.Errorf("%s: %d volumes begin like this (%s, %s, …): %w", name, len(found), found[0].Name, found[1].Name, syscall.ENOENT)
}

// rootOf is the root of the volume that a node belongs to.
func (t *Tree) rootOf(ctx context.Context, id NodeID) (Entry, error) {
	r, err := t.fsRoot(id)
	if err != nil {
		return Entry{}, err
	}
	return t.rootEntry(ctx, r.vol.root)
}

// meant are the paths that a person can mean by the name of a volume.
func (v *view) meant(name string) (paths []string) {
	kind, rest, _ := strings.Cut(name, ":")
	id, isID := strings.CutPrefix(name, "@")
	for _, s := range v.parts {
		switch {
		case kind == "container":
			paths = append(paths, join(s.folder, "containers/"+rest))
		case kind == "image":
			paths = append(paths, join(s.folder, "images/"+rest), join(s.folder, "images/"+rest+":latest"))
		case isID:
			for _, p := range s.pools {
				paths = append(paths, join(s.folder, "by-id/"+p.name+"/"+id))
			}
			fallthrough
		default:
			paths = append(paths, join(s.folder, "volumes/"+name))
		}
	}
	return paths
}

// find is the node of a path in the view, nil where there is none.
func (v *view) find(path string) *node {
	n := v.root
	for name := range strings.SplitSeq(path, "/") {
		if n = n.child(name); n == nil {
			return nil
		}
	}
	return n
}
