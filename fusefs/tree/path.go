package tree

import (
	"context"
	"fmt"
	"strings"
	"syscall"
)

// maxLinks is how many links a path may lead through. The kernel has the same limit.
const maxLinks = 40

// Walk finds the node at a path below a folder. It follows links on the way as in a chroot at
// that folder: neither links nor ".." lead out of it. It follows a link at the end of the path
// if follow is true.
func (t *Tree) Walk(ctx context.Context, from NodeID, path string, follow bool) (Entry, error) {
	root, err := t.Stat(ctx, from)
	if err != nil {
		return Entry{}, err
	}
	at := []Entry{root} // the folders from the first down to the current one
	todo := strings.Split(path, "/")
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		here := at[len(at)-1]
		if here.Attr.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			return Entry{}, fmt.Errorf("%s: %w", path, syscall.ENOTDIR)
		}
		switch name {
		case "", ".":
			continue
		case "..":
			at = at[:max(len(at)-1, 1)]
			continue
		}
		e, err := t.Lookup(ctx, here.ID, name)
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w", path, err)
		}
		last := len(todo) == 0
		if e.Attr.Mode&syscall.S_IFMT != syscall.S_IFLNK || last && !follow {
			at = append(at, e)
			continue
		}
		if links++; links > maxLinks {
			return Entry{}, fmt.Errorf("%s: %w", path, syscall.ELOOP)
		}
		target, err := t.Readlink(ctx, e.ID)
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w", path, err)
		}
		if strings.HasPrefix(target, "/") {
			at = at[:1]
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return at[len(at)-1], nil
}
