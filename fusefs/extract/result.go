package extract

import (
	"fmt"
	"strings"
)

// Result says what a copy could not keep.
type Result struct {
	// Unreadable is how many entries were left out because they cannot be read in the tree
	// or cannot exist at DEST: files, folders or the rest of them, extended attributes. Each
	// was logged with its path.
	Unreadable int
	// NotPermitted is what was not kept because this user may not set it.
	NotPermitted Losses
	// NotHeld is what was not kept because DEST's filesystem cannot hold it. The first ten
	// of each kind were logged with their paths.
	NotHeld Losses
}

// Losses counts what was not kept, by kind.
type Losses struct {
	Owners    int // of files that belong to another user or group than in the tree
	SetIDs    int // of these, those that lost their set-user-ID or set-group-ID bit
	Modes     int // permissions
	Times     int // times of last access and modification
	Xattrs    int // extended attributes and ACLs
	HardLinks int // names that became files of their own
	Symlinks  int // symbolic links that were left out
	Nodes     int // devices, fifos and sockets that were left out
}

// String lists the losses for people: "12 owners, 1 hard link". It is "" if there are none.
func (l Losses) String() string {
	var parts []string
	for _, p := range []struct {
		n         int
		one, many string
	}{
		{l.Owners, "owner", "owners"},
		{l.SetIDs, "set-user-ID or set-group-ID bit", "set-user-ID or set-group-ID bits"},
		{l.Modes, "mode", "modes"},
		{l.Times, "file's times", "files' times"},
		{l.Xattrs, "extended attribute", "extended attributes"},
		{l.HardLinks, "hard link", "hard links"},
		{l.Symlinks, "symbolic link", "symbolic links"},
		{l.Nodes, "device, fifo or socket", "devices, fifos and sockets"},
	} {
		switch {
		case p.n == 1:
			parts = append(parts, "1 "+p.one)
		case p.n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.many))
		}
	}
	return strings.Join(parts, ", ")
}
