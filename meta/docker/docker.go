package docker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"thintree/meta"
)

// Options say what a Docker root does not tell.
type Options struct {
	// Metadata and Data are the paths of the pool's halves where they are not the
	// loop files in the root (dm.thinpooldev); otherwise "".
	Metadata, Data string
}

type source struct {
	root string
	opts Options
}

var _ meta.Source = source{}

// New is the source of a Docker root, whatever it is called, or of the folder
// devicemapper in one. What is wrong with it, Load says.
func New(path string, o Options) meta.Source {
	if up := filepath.Dir(path); filepath.Base(path) == driver && !isRoot(path) && isRoot(up) {
		path = up
	}
	return source{path, o}
}

// Recognise tells whether a path is one that [New] takes: a Docker root with the
// devicemapper driver, or the folder devicemapper in one. It is true as well
// where the caller may not look into that folder.
func Recognise(path string) bool {
	return isRoot(path) || filepath.Base(path) == driver && isRoot(filepath.Dir(path))
}

func isRoot(path string) bool {
	st, err := os.Stat(filepath.Join(path, recordsDir))
	if errors.Is(err, fs.ErrPermission) {
		st, err = os.Stat(filepath.Join(path, driver))
	}
	return err == nil && st.IsDir()
}

// Where things are in a root.
const (
	driver        = "devicemapper"
	recordsDir    = driver + "/metadata"
	poolDir       = driver + "/devicemapper"
	containersDir = "containers"
	imageDir      = "image/" + driver
	layersDir     = imageDir + "/layerdb/sha256"
	mountsDir     = imageDir + "/layerdb/mounts"
	imagesDir     = imageDir + "/imagedb/content/sha256"
	namesFile     = imageDir + "/repositories.json"
	configFile    = "config.v2.json" // in a container's folder
)

// String is the source as a person writes it.
func (s source) String() string { return "docker:" + s.root }

func (s source) path(parts ...string) string {
	return filepath.Join(append([]string{s.root}, parts...)...)
}
