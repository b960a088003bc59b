package extract

import (
	"slices"
	"strings"
)

// destPath is the path of a file of the copy. Files share the paths of their folders.
type destPath struct {
	up   *destPath // of the folder, nil for the top folder
	name string    // the top folder's is its path
}

// maxShown is how many bytes of a path are shown, about.
const maxShown = 4096

// String returns the path, or only its end if it is longer than maxShown.
func (p *destPath) String() string {
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
