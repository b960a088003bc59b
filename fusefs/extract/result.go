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

	// What was not kept because it is not permitted to this user, or because
	// DEST's filesystem has none.
	Owners    int // of files that belong to another user or group than in the tree
	SetIDs    int // of these, those that lost their set-user-ID or set-group-ID bit
	Modes     int // permissions
	Times     int // times of last access and modification
	Xattrs    int // extended attributes and ACLs
	HardLinks int // names that became files of their own
	Symlinks  int // symbolic links that were left out
	Nodes     int // devices, fifos and sockets that were left out
}

// NotPermitted says for people what was not kept: "12 owners, 3 devices"; ""
// where everything was.
func (r Result) NotPermitted() string {
	var parts []string
	for _, p := range []struct {
		n         int
		one, many string
	}{
		{r.Owners, "owner", "owners"},
		{r.SetIDs, "set-user-ID or set-group-ID bit", "set-user-ID or set-group-ID bits"},
		{r.Modes, "mode", "modes"},
		{r.Times, "file's times", "files' times"},
		{r.Xattrs, "extended attribute", "extended attributes"},
		{r.HardLinks, "hard link", "hard links"},
		{r.Symlinks, "symbolic link", "symbolic links"},
		{r.Nodes, "device, fifo or socket", "devices, fifos and sockets"},
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
