package storage

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/meta/store"
	"thintree/thin/resolve"
)

type source struct {
	root string
	// devices reads the store in the root: the records of devices, and the pool.
	devices store.Records
}

var _ meta.Source = source{}

// New is the source of a root. path is the root, or the folder devicemapper in it. Errors
// come from Load.
func New(path string, o store.Options) meta.Source {
	if up := filepath.Dir(path); filepath.Base(path) == storeDir && !isRoot(path) && isRoot(up) {
		path = up
	}
	return source{path, store.Records{
		Source: "storage:" + path, Root: path, Top: topOf(path), Dir: storeDir, What: "a containers/storage root with the devicemapper driver",
		DirectLVM: directLVM, Options: o,
	}}
}

// Recognise reports whether a path is a root of containers/storage with the devicemapper
// driver, or the folder devicemapper in one. It is also true if the process may not read that
// folder.
func Recognise(path string) bool {
	return isRoot(path) || filepath.Base(path) == storeDir && isRoot(filepath.Dir(path))
}

func isRoot(path string) bool {
	top := topOf(path)
	if store.Is(unix.S_IFDIR, top, filepath.Join(path, layersDir)) != nil {
		return false
	}
	err := store.Is(unix.S_IFDIR, top, filepath.Join(path, recordsDir))
	if errors.Is(err, fs.ErrPermission) {
		err = store.Is(unix.S_IFDIR, top, filepath.Join(path, storeDir))
	}
	return err == nil
}

func topOf(root string) string { return store.Top(root, record.StorageRoot, record.UserRoot) }

// directLVM is the device-mapper name of the pool that the driver makes on a block device.
const directLVM = "storage-thinpool"

// The layout of a root.
const (
	storeDir      = record.DockerStore
	recordsDir    = storeDir + "/" + record.RecordsDir
	layersDir     = record.StorageLayers
	imagesDir     = "devicemapper-images"
	containersDir = "devicemapper-containers"

	layersFile             = layersDir + "/layers.json"
	volatileLayersFile     = layersDir + "/volatile-layers.json"
	imagesFile             = imagesDir + "/images.json"
	containersFile         = containersDir + "/containers.json"
	volatileContainersFile = containersDir + "/volatile-containers.json"
)

// files are the files with records beside those of devices.
var files = []string{layersFile, volatileLayersFile, imagesFile, containersFile, volatileContainersFile}

// String is the source as a person writes it.
func (s source) String() string { return s.devices.Source }

// Places are the paths that are read: the root, and the files in it, which links may have
// moved elsewhere.
func (s source) Places() []string {
	places := s.devices.Places()
	for _, path := range files {
		if real, err := s.real(path); err == nil {
			places = append(places, real)
		}
	}
	return places
}

// Stamp changes when a device, a layer, an image or a container comes, goes or is renamed,
// and when a creation or deletion ends. The error is the error of ctx.
func (s source) Stamp(ctx context.Context) (string, error) {
	l, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	return l.Stamp(), nil
}

// look looks at everything that a stamp covers.
func (s source) look(ctx context.Context) (*record.Look, error) {
	l := record.NewLook()
	for _, path := range files {
		l.Add(s.real(path))
	}
	return l, s.devices.Look(ctx, l)
}

func (s source) path(path string) string { return filepath.Join(s.root, path) }

// real is a path in the root without symbolic links.
func (s source) real(path string) (string, error) {
	return resolve.Within(topOf(s.root), s.path(path))
}
