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
	// Name is the name of the copy in DEST, if DEST is a folder. It has no slash.
	Name string
	// Progress is called with the number of bytes that are done since the last call.
	// Holes and files that are left out count too, so the sum is what [Size] returns. It
	// may be nil. Calls do not overlap.
	Progress func(bytes int64)
	// Log gets what could not be copied; slog.Default() if nil.
	Log *slog.Logger
}

// Copy copies the node id of a tree, with everything below it, to the path dest. If dest
// is a folder, or a link to one, the copy is made in it as o.Name. Otherwise dest is the
// path of the copy.
//
// If a folder exists already, the copied folder is merged into it and its attributes are
// set. Any other existing file is replaced by a rename when the new one is complete. A link
// is replaced, not followed. A file does not replace a folder (EISDIR), nor a folder a file
// (ENOTDIR).
//
// Entries that cannot be read are left out and counted in the Result. An error says what
// ended the copy early: dest cannot be written to, the folder id cannot be read at all, or
// ctx has ended. The Result is valid after an error too. Copy may be called concurrently.
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

// target returns the folder in which the copy is made, and the copy's name.
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
	// Without filepath.Clean, which is wrong for a ".." after a link.
	dir, base = filepath.Split(strings.TrimRight(dest, "/"))
	if !validName(base) || !folder && strings.HasSuffix(dest, "/") {
		return "", "", fmt.Errorf("%q: no such folder: %w", dest, syscall.ENOENT)
	}
	return cmp.Or(dir, "."), base, nil
}

// validName reports whether a name can be that of a file in a folder.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

func isFolder(a volfs.Attr) bool { return a.Mode&syscall.S_IFMT == syscall.S_IFDIR }
