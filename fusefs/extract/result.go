package extract

import (
	"fmt"
	"strings"
)

// Result is what a copy came to.
type Result struct {
	// Unreadable is how often something was left out that cannot be read in the
	// tree, or that no file at DEST can be: a file, a folder or the rest of one,
	// a file's extended attributes. Each was logged with its path.
	Unreadable int
	// NotPermitted is what was not kept because it is not permitted to this user.
	NotPermitted Losses
	// NotHeld is what was not kept because DEST's filesystem cannot hold it. The first
	// of each kind were logged, with their paths.
	NotHeld Losses
}

// Losses are how often something was not kept.
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

// String says for people what was not kept: "12 owners, 3 devices"; "" if everything
// was.
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
