package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// VolumeRef is a volume by its name.
type VolumeRef struct {
	Name string // as Find takes it
	ID   NodeID
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
			r := VolumeRef{Name: e.root.vol.name, ID: e.id}
			users := v.users[e.root.vol]
			for _, name := range users.containers {
				r.Aliases = append(r.Aliases, "container:"+name)
			}
			for _, name := range users.images {
				r.Aliases = append(r.Aliases, "image:"+name)
			}
			list = append(list, r)
		}
	}
	for _, s := range t.sources {
		if n := v.find(join(s.folder, "volumes")); n != nil {
			walk(n)
		}
	}
	return list
}

// Find finds what a person calls a volume: its name or the beginning of one, @
// and a device id, or container: or image: and a name, which begin at their root
// folder. An image without a tag is the one that is tagged latest.
func (t *Tree) Find(ctx context.Context, name string) (Entry, error) {
	var tries []string
	kind, rest, _ := strings.Cut(name, ":")
	for _, s := range t.sources {
		switch {
		case kind == "container":
			tries = append(tries, join(s.folder, "containers/"+rest))
		case kind == "image":
			tries = append(tries, join(s.folder, "images/"+rest), join(s.folder, "images/"+rest+":latest"))
		default:
			if id, ok := strings.CutPrefix(name, "@"); ok {
				for _, p := range s.pools {
					tries = append(tries, join(s.folder, "by-id/"+p.name+"/"+id))
				}
			}
			tries = append(tries, join(s.folder, "volumes/"+name))
		}
	}
	for _, path := range tries {
		e, err := t.Walk(ctx, RootID, path, true)
		if err == nil {
			return e, nil
		}
		if !errors.Is(err, syscall.ENOENT) {
			return Entry{}, err
		}
	}
	var found []VolumeRef
	for _, r := range t.Volumes(ctx) {
		if name != "" && strings.HasPrefix(r.Name, name) {
			found = append(found, r)
		}
	}
	// A container's volume has the name of its -init volume's beginning.
	if i := slices.IndexFunc(found, func(r VolumeRef) bool { return strings.TrimSuffix(found[0].Name, "-init") == r.Name }); len(found) == 2 && i >= 0 {
		found = found[i : i+1]
	}
	switch len(found) {
	case 1:
		return t.Stat(ctx, found[0].ID)
	case 0:
		return Entry{}, fmt.Errorf("%s: no such volume: thintree ls tells their names: %w", name, syscall.ENOENT)
	}
	return Entry{}, fmt.Errorf("%s: %d volumes begin like this (%s, %s, …): %w", name, len(found), found[0].Name, found[1].Name, syscall.ENOENT)
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
