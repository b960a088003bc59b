// Package readers lists the filesystem readers of this program.
package readers

import (
	"slices"

	"thintree/volfs"
	"thintree/volfs/ext4"
)

// all has a line for each reader.
var all = []volfs.Reader{
	ext4.Reader,
}

// For returns the reader of a filesystem type, by blkid's name. It is false if the type
// has none.
func For(fstype string) (volfs.Reader, bool) {
	i := slices.IndexFunc(all, func(r volfs.Reader) bool { return slices.Contains(r.Types, fstype) })
	if i < 0 {
		return volfs.Reader{}, false
	}
	return all[i], true
}
