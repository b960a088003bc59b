package docker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"thintree/meta"
	"thintree/meta/store"
)

// Options say what a Docker root does not tell: where the pool is.
type Options = store.Options

type source struct {
	root string
	// devices are the records of devices, and their pool: the store in the root.
	devices store.Records
}

var _ meta.Source = source{}

// New is the source of a Docker root, whatever it is called, or of the folder
// devicemapper in one. What is wrong with it, Load says.
func New(path string, o Options) meta.Source {
	if up := filepath.Dir(path); filepath.Base(path) == driver && !isRoot(path) && isRoot(up) {
		path = up
	}
	return source{path, store.Records{
		Source: "docker:" + path, Root: path, Dir: driver, What: "a Docker root with the devicemapper driver", Options: o,
	}}
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
	recordsDir    = driver + "/" + store.RecordsDir
	containersDir = "containers"
	imageDir      = "image/" + driver
	layersDir     = imageDir + "/layerdb/sha256"
	mountsDir     = imageDir + "/layerdb/mounts"
	imagesDir     = imageDir + "/imagedb/content/sha256"
	namesFile     = imageDir + "/repositories.json"
	configFile    = "config.v2.json" // in a container's folder
)

// String is the source as a person writes it.
func (s source) String() string { return s.devices.Source }

func (s source) path(parts ...string) string {
	return filepath.Join(append([]string{s.root}, parts...)...)
}
