package manifest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"thintree/volfs"
)

// maxDepth ends a walk whose folders contain each other.
const maxDepth = 10_000

// OfFS takes the manifest of a filesystem. What cannot be read is told in the
// manifest; the error is the context's.
func OfFS(ctx context.Context, fs volfs.FS, o Options) (Manifest, error) {
	w := fsWalk{ctx: ctx, fs: fs, o: o, contents: map[volfs.Ino]string{}}
	w.visit(ctx, fs.Root(), ".", 0)
	return w.m, ctx.Err()
}

type fsWalk struct {
	ctx      context.Context
	fs       volfs.FS
	o        Options
	m        Manifest
	contents map[volfs.Ino]string // of inodes with several names
}

func (w *fsWalk) visit(ctx context.Context, ino volfs.Ino, path string, depth int) {
	if w.ctx.Err() != nil {
		return
	}
	a, err := w.fs.Stat(w.ctx, ino)
	if err == nil && a.Ino != ino {
		err = fmt.Errorf("the attributes of inode %d tell of %d", ino, a.Ino)
	}
	if err == nil && depth > maxDepth {
		err = syscall.ELOOP
	}
	if err != nil {
		w.m = append(w.m, Entry{Path: path, Err: failure(err)})
		return
	}
	e := Entry{
		Path: path, Mode: a.Mode, UID: a.UID, GID: a.GID, Nlink: a.Nlink, Size: a.Size, Blocks: a.Blocks,
		Mtime: a.Mtime, Ctime: a.Ctime, Rdev: a.Rdev, Content: "-", Xattrs: w.xattrs(a),
	}
	if w.o.More {
		e.More = &More{
			Ino: uint64(ino), Atime: a.Atime, Btime: a.Btime,
			BlockSize: a.BlockSize, Flags: a.Flags & comparedFlags,
		}
	}
	switch a.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		w.file(ctx, ino, &e)
	case syscall.S_IFLNK:
		target, err := w.fs.Readlink(w.ctx, ino)
		if e.Content = strconv.Quote(target); err != nil {
			e.Content = failure(err)
		}
	case syscall.S_IFDIR:
		w.folder(ctx, ino, e, depth)
		return
	}
	w.m = append(w.m, e)
}

func (w *fsWalk) file(ctx context.Context, ino volfs.Ino, e *Entry) {
	f, err := w.fs.Open(w.ctx, ino)
	if err != nil {
		e.Content = failure(err)
		if w.o.More {
			e.More.Data = e.Content
		}
		return
	}
	defer f.Close()
	if w.o.More {
		extents, err := dataMap(ctx, f, e.Size)
		if e.More.Data = formatExtents(extents); err != nil {
			e.More.Data = failure(err)
		}
	}
	known := false
	if e.Content, known = w.contents[ino]; known {
		return
	}
	if e.Content, err = content(ctx, f, e.Size, w.o); err != nil {
		e.Content = failure(err)
	}
	if e.Nlink > 1 {
		w.contents[ino] = e.Content
	}
}

func (w *fsWalk) folder(ctx context.Context, ino volfs.Ino, e Entry, depth int) {
	entries, err := readDir(w.ctx, w.fs, ino, 0, -1)
	slices.SortFunc(entries, func(a, b volfs.DirEntry) int { return cmp.Compare(a.Name, b.Name) })
	if w.o.More {
		for _, d := range entries {
			e.More.Entries = append(e.More.Entries, direntText(d.Name, uint64(d.Ino), d.Type))
		}
		slices.Sort(e.More.Entries)
	}
	w.m = append(w.m, e)
	if err != nil {
		w.m = append(w.m, Entry{Path: e.Path, Err: failure(err)})
	}
	for _, d := range entries {
		if d.Name == "." || d.Name == ".." {
			continue
		}
		path := join(e.Path, d.Name)
		child, err := w.fs.Lookup(w.ctx, ino, d.Name) // as a path is walked
		if err == nil && child != d.Ino {
			err = fmt.Errorf("inode %d by ReadDir, %d by Lookup", d.Ino, child)
		}
		if err != nil {
			w.m = append(w.m, Entry{Path: path, Err: failure(err)})
			continue
		}
		w.visit(ctx, child, path, depth+1)
	}
}

// readDir lists at most limit entries of a folder after cookie, all for -1.
func readDir(ctx context.Context, fs volfs.FS, dir volfs.Ino, cookie uint64, limit int) ([]volfs.DirEntry, error) {
	var entries []volfs.DirEntry
	err := fs.ReadDir(ctx, dir, cookie, func(d volfs.DirEntry) bool {
		entries = append(entries, d)
		return len(entries) != limit
	})
	return entries, err
}

func (w *fsWalk) xattrs(a volfs.Attr) string {
	names, err := w.fs.Xattrs(w.ctx, a.Ino)
	if err != nil {
		return failure(err)
	}
	if len(names) > 0 && !a.HasXattrs {
		return "!HasXattrs is false, and there are some"
	}
	var out []string
	for _, name := range names {
		value, err := w.fs.Xattr(w.ctx, a.Ino, name)
		out = append(out, xattrText(name, value, err))
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ",")
}
