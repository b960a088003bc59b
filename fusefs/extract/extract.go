package extract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"thintree/fusefs/tree"
	"thintree/volfs"
)

// Options say how to copy.
type Options struct {
	// Name is what the copy is called in DEST where DEST is a folder: one name,
	// without a slash.
	Name string
	// Progress is told of every so many bytes that are done, holes and files
	// that are left out among them, so that all of them together are what [Size]
	// tells. May be nil. Calls do not overlap.
	Progress func(bytes int64)
	// Log is where it is said what could not be copied; slog.Default() where nil.
	Log *slog.Logger
}

// Copy copies the node id of a tree, with all that is in it, to dest, a path. If
// dest is a folder, or a link to one, the copy is made in it as o.Name; otherwise
// dest is the copy's own path.
//
// An existing folder is merged with a copied one and gets its attributes. Anything
// else that exists is replaced at once, by a rename, when its successor is whole;
// a link is replaced, not followed. A folder takes no other's place, nor another
// a folder's: EISDIR, ENOTDIR.
//
// What of the tree cannot be read is left out and counted in the Result, which is
// valid with an error too. An error is what ended the copy before its end: dest
// cannot be written to, the folder that was to be copied cannot be read at all, or
// ctx ended. Several copies may be made at once.
func Copy(ctx context.Context, t *tree.Tree, id tree.NodeID, dest string, o Options) (Result, error) {
	return copyFrom(ctx, treeSource{t}, id, dest, o)
}

func copyFrom(ctx context.Context, from source, id tree.NodeID, dest string, o Options) (Result, error) {
	e, err := from.Stat(ctx, id)
	if err != nil {
		return Result{}, err
	}
	dir, name, err := target(dest, o.Name, isFolder(e.Attr))
	if err != nil {
		return Result{}, err
	}
	c := newCopier(ctx, from, o)
	err = c.run(dir, entry{name: name, Entry: e})
	return c.result, err
}

// target tells in which folder the copy is made, and under which name.
func target(dest, name string, folder bool) (dir, base string, err error) {
	st, err := os.Stat(dest)
	switch {
	case err == nil && st.IsDir():
		if !validName(name) {
			return "", "", fmt.Errorf("%q cannot be a file's name: give the copy's path in full: %w", name, syscall.EINVAL)
		}
		return dest, name, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ELOOP):
		return "", "", err
	}
	// Not cleaned: that would take a link before a ".." for a folder.
	dir, base = filepath.Split(strings.TrimRight(dest, "/"))
	if !validName(base) || !folder && strings.HasSuffix(dest, "/") {
		return "", "", fmt.Errorf("%q: no such folder: %w", dest, syscall.ENOENT)
	}
	return cmp.Or(dir, "."), base, nil
}

// validName tells whether a name is that of an entry of a folder, and of that
// folder.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

func isFolder(a volfs.Attr) bool { return a.Mode&syscall.S_IFMT == syscall.S_IFDIR }
