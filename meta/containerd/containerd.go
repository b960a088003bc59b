package containerd

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/store"
	"thintree/thin/resolve"
)

// The layout of a root.
const (
	snapshotter  = "devmapper" // the snapshotter's name
	pluginDir    = "io.containerd.snapshotter.v1." + snapshotter
	metadataFile = "metadata.db" // in the snapshotter's folder, beside POOL.db
	dbSuffix     = ".db"
	metaFile     = "io.containerd.metadata.v1.bolt/meta.db"
)

// defaultRoot is the usual place of a root.
const defaultRoot = "/var/lib/containerd"

type source struct {
	root string
	pool *meta.Pool // where the pool is, without its name; nil if nobody said it
	// pause is how long to wait before databases that do not match are read again.
	pause time.Duration
}

var _ meta.Source = source{}

// New is the source of a containerd root. path is the root, or the snapshotter's folder in
// it. pool says where the pool is; it is nil if only the device-mapper name in the records is
// known. Its Name is not used. Errors come from Load.
func New(path string, pool *meta.Pool) meta.Source {
	if filepath.Base(path) == pluginDir {
		path = filepath.Dir(path)
	}
	return source{path, pool, pause}
}

// Recognise reports whether a path is a containerd root with the devmapper snapshotter, or
// the snapshotter's folder in one. It is also true if the process may not read that folder.
func Recognise(path string) bool {
	s := New(path, nil).(source)
	c, _ := s.config()
	f := s.folder(c)
	if c.RootPath == "" {
		return isThere(unix.S_IFDIR, f, f.path)
	}
	return isThere(unix.S_IFDIR, f, filepath.Join(s.root, filepath.Dir(metaFile))) && isThere(unix.S_IFREG, f, filepath.Join(f.path, metadataFile))
}

func isThere(kind uint32, f folder, path string) bool {
	err := store.Is(kind, f.top, path)
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// folder is a folder below the root folder of the system that it is part of. Links in it do
// not lead out of that.
type folder struct{ top, path string }

// real is the path of a name in the folder without symbolic links.
func (f folder) real(name string) (string, error) {
	return resolve.Within(f.top, filepath.Join(f.path, name))
}

// folder is the snapshotter's folder, by its configuration.
func (s source) folder(c config) folder {
	if c.RootPath != "" {
		return folder{c.top, filepath.Join(c.top, c.RootPath)}
	}
	return folder{topOf(s.root), filepath.Join(s.root, pluginDir)}
}

func topOf(root string) string { return store.Top(root, defaultRoot) }

// String is the source as a person writes it.
func (s source) String() string { return "containerd:" + s.root }

// Places are the paths that are read: the root, and the folders and files in it, which links
// or the configuration may have moved elsewhere.
func (s source) Places() []string {
	places := []string{s.root}
	c, _ := s.config()
	for _, f := range []struct {
		folder
		name string
	}{{s.folder(c), ""}, {folder{topOf(s.root), s.root}, metaFile}} {
		if real, err := f.real(f.name); err == nil {
			places = append(places, real)
		}
	}
	if s.pool != nil {
		places = append(append(places, s.pool.Metadata.Paths()...), s.pool.Data.Paths()...)
	}
	return places
}
