package docker

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/meta/store"
	"thintree/thin/resolve"
)

// Options say what the records do not say: where the pool is.
type Options = store.Options

type source struct {
	root string
	// devices reads the store in the root: the records of devices, and the pool.
	devices store.Records
}

var _ meta.Source = source{}

// New is the source of a Docker root. path is the root, or the folder devicemapper in it.
// Errors come from Load.
func New(path string, o Options) meta.Source {
	if up := filepath.Dir(path); filepath.Base(path) == storeDir && !isRoot(path) && isRoot(up) {
		path = up
	}
	return source{path, store.Records{
		Source: "docker:" + path, Root: path, Top: topOf(path), Dir: storeDir, What: "a Docker root with the devicemapper driver",
		DirectLVM: directLVM, Configured: func() (string, error) { return configuredPool(path) }, Options: o,
	}}
}

// Recognise reports whether a path is a Docker root with the devicemapper driver, or the
// folder devicemapper in one. It is also true if the process may not read that folder. A
// root of containers/storage is none.
func Recognise(path string) bool {
	return isRoot(path) || filepath.Base(path) == storeDir && isRoot(filepath.Dir(path))
}

func isRoot(path string) bool {
	if store.Is(unix.S_IFDIR, topOf(path), filepath.Join(path, record.StorageLayers)) == nil {
		return false
	}
	err := store.Is(unix.S_IFDIR, topOf(path), filepath.Join(path, recordsDir))
	if errors.Is(err, fs.ErrPermission) {
		err = store.Is(unix.S_IFDIR, topOf(path), filepath.Join(path, storeDir))
	}
	return err == nil
}

// topOf is the root folder of the system that a root is part of: see [store.Top].
func topOf(root string) string {
	if whole := withoutRemap(root); whole != root {
		if top := store.Top(whole, record.DockerRoot); top != whole {
			return top
		}
	}
	return store.Top(root, record.DockerRoot)
}

// The layout of a root.
const (
	driver        = "devicemapper" // the driver's name
	storeDir      = record.DockerStore
	recordsDir    = storeDir + "/" + record.RecordsDir
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

// Places are the paths that are read: the root, the folders in it, which links may have
// moved elsewhere, and the host's configuration.
func (s source) Places() []string {
	places := s.devices.Places()
	if path, err := daemonPath(s.root); err == nil {
		places = append(places, path)
	}
	for _, path := range []string{containersDir, layersDir, mountsDir, imagesDir, namesFile, oldImagesDir, oldNamesFile} {
		if real, err := s.real(path); err == nil {
			places = append(places, real)
		}
	}
	return places
}

func (s source) path(parts ...string) string {
	return filepath.Join(append([]string{s.root}, parts...)...)
}

// real is a path in the root without symbolic links.
func (s source) real(path string) (string, error) {
	return resolve.Within(topOf(s.root), s.path(path))
}

// folder opens a folder of the root.
func (s source) folder(path string) (*record.Folder, error) {
	real, err := s.real(path)
	if err != nil {
		return nil, err
	}
	return record.OpenFolder(real)
}
