package resolve

import (
	"errors"
	"fmt"
	"io/fs"
)

// TreeError says that a path leads into a tree that this process may not enter, because the
// tree was mounted after [Seal].
type TreeError struct {
	Path string // the mount point of the tree
}

func (e *TreeError) Error() string {
	return fmt.Sprintf("%s: a thintree mount now covers these files: unmount it (thintree umount %s)", e.Path, e.Path)
}

// LinkError says that a symbolic link on a path leads to something that cannot be reached.
type LinkError struct {
	Link, Target string
	Within       string // links are followed within this folder; "/" for the whole host
	Err          error
}

func (e *LinkError) Error() string {
	text := fmt.Sprintf("%s is a link to %s", e.Link, e.Target)
	if errors.Is(e.Err, fs.ErrNotExist) {
		text += ", which does not exist"
	} else {
		text += fmt.Sprintf(": %v", e.Err)
	}
	if e.Within != "/" {
		text += fmt.Sprintf(" (links are followed within %s)", e.Within)
	}
	return text
}

func (e *LinkError) Unwrap() error { return e.Err }
