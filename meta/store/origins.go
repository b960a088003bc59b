package store

import (
	"maps"
	"slices"

	"thintree/meta"
	"thintree/meta/record"
)

// Origin is the role of a volume, and the volume that it is a snapshot of, by records beside
// those of the store.
type Origin struct {
	Role   meta.Role
	Parent string // "" if unknown
}

// SetOrigins sets the roles and parents of volumes, but the base device's, by their names, and
// the folder of their files.
func SetOrigins(volumes []meta.Volume, origins map[string]Origin) {
	for i := range volumes {
		v := &volumes[i]
		if v.Role == meta.RoleBase {
			continue
		}
		v.Root = record.FilesDir
		if o, ok := origins[v.Name]; ok {
			v.Role, v.Parent = o.Role, o.Parent
		}
	}
}

// BreakLoops removes parents so that no volume is its own ancestor. It returns the volumes
// whose parent it removed.
func BreakLoops(origins map[string]Origin) (broken []string) {
	walk := make(map[string]int, len(origins)) // the number of the walk that visited the volume
	for i, start := range slices.Sorted(maps.Keys(origins)) {
		for at := start; at != "" && walk[at] == 0; at = origins[at].Parent {
			walk[at] = i + 1
			if o := origins[at]; walk[o.Parent] == i+1 {
				origins[at] = Origin{Role: o.Role}
				broken = append(broken, at)
			}
		}
	}
	return broken
}
