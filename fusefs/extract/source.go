package extract

import (
	"context"

	"thintree/fusefs/tree"
	"thintree/volfs"
)

// source is a tree that is copied from. Its methods are called concurrently.
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

// treeSource makes a source of a [tree.Tree].
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

// entry is a node, and the name of its copy.
type entry struct {
	name string
	tree.Entry
	err error // not nil if there is no Entry
}

// listing is a folder of a source that is being listed.
type listing struct {
	from   source
	id     tree.NodeID
	dir    dir
	cookie uint64 // of the last entry that was returned
}

// batch is how many entries of a folder are read before they are copied.
const batch = 128

// next returns the next entries, without "." and "..". Only the last of them can be a
// folder, so no entries are in memory while that is copied. more is false at the end of the
// folder, and with an error.
func (l *listing) next(ctx context.Context) (entries []entry, more bool, err error) {
	unknown := false // whether the last entry came without attributes
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
