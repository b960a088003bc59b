package extract

import (
	"context"

	"thintree/fusefs/tree"
	"thintree/volfs"
)

// source is what is copied from. Its methods are called concurrently.
type source interface {
	Stat(ctx context.Context, id tree.NodeID) (tree.Entry, error)
	Lookup(ctx context.Context, dir tree.NodeID, name string) (tree.Entry, error)
	Readlink(ctx context.Context, id tree.NodeID) (string, error)
	Xattrs(ctx context.Context, id tree.NodeID) ([]string, error)
	Xattr(ctx context.Context, id tree.NodeID, name string) ([]byte, error)
	open(ctx context.Context, id tree.NodeID) (volfs.File, error)
	openDir(ctx context.Context, id tree.NodeID) (dir, error)
}

// dir is an open folder of a source.
type dir interface {
	ReadDir(ctx context.Context, cookie uint64, attrs bool, emit func(tree.DirEntry) bool) error
	Close() error
}

// treeSource is a tree as a source.
type treeSource struct{ *tree.Tree }

func (s treeSource) open(ctx context.Context, id tree.NodeID) (volfs.File, error) {
	f, err := s.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s treeSource) openDir(ctx context.Context, id tree.NodeID) (dir, error) {
	d, err := s.OpenDir(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// entry is a node and its name in the folder that it is copied from.
type entry struct {
	name string
	tree.Entry
	err error // why there is no Entry
}

// list is the place in the listing of a folder.
type list struct {
	from   source
	id     tree.NodeID
	dir    dir
	cookie uint64
}

// batch is how many entries are taken from a folder before they are copied.
const batch = 128

// next gives the next entries, without "." and "..". Only the last of them can be
// a folder: what comes after it is not held while it is copied. more is false at
// the end of the folder, and with an error.
func (l *list) next(ctx context.Context) (entries []entry, more bool, err error) {
	unknown := false // what the last one is
	err = l.dir.ReadDir(ctx, l.cookie, true, func(d tree.DirEntry) bool {
		l.cookie = d.Cookie
		if d.Name == "." || d.Name == ".." {
			return true
		}
		e := entry{name: d.Name}
		if unknown = d.Entry == nil; !unknown {
			e.Entry = *d.Entry
		}
		entries = append(entries, e)
		more = unknown || isFolder(e.Attr) || len(entries) == batch
		return !more
	})
	if unknown {
		e := &entries[len(entries)-1]
		e.Entry, e.err = l.from.Lookup(ctx, l.id, e.name)
	}
	return entries, more && err == nil, err
}
