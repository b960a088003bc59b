package resolve

import (
	"errors"
	"fmt"
	"io/fs"
)

// TreeError says that a path leads into a tree that must not be asked: it was
// mounted after this process had begun to serve its own.
type TreeError struct {
	Path string // where the tree is mounted
}

func (e *TreeError) Error() string {
	return fmt.Sprintf("%s: a tree of thintree's has been mounted there since, over what is read: unmount that (thintree umount %s)", e.Path, e.Path)
}

// LinkError says that a path leads through a symbolic link to something that
// cannot be reached.
type LinkError struct {
	Link, Target string
	Within       string // the folder that links are followed in, "/" for all of this host
	Err          error
}

func (e *LinkError) Error() string {
	text := fmt.Sprintf("%s is a link to %s", e.Link, e.Target)
	if errors.Is(e.Err, fs.ErrNotExist) {
		text += ", which is not there"
	} else {
		text += fmt.Sprintf(": %v", e.Err)
	}
	if e.Within != "/" {
		text += fmt.Sprintf(" (links are followed within %s)", e.Within)
	}
	return text
}

func (e *LinkError) Unwrap() error { return e.Err }
