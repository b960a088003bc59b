package extract

import (
	"slices"
	"strings"
)

// place is where a file is in the copy.
type place struct {
	up   *place
	name string
}

// maxShown is how many bytes of a path are shown.
const maxShown = 4096

// String is the path, or its end where it is longer than a path can be.
func (p *place) String() string {
	var names []string
	n := 0
	for ; p != nil && n < maxShown; p = p.up {
		names = append(names, strings.TrimRight(p.name, "/"))
		n += len(p.name) + 1
	}
	if p != nil {
		names = append(names, "…")
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}
