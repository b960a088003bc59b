package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"thintree/meta/record"
)

// layerDB is the part of Docker's layer database that is used.
type layerDB struct {
	layers map[string]layer // by chain id
	mounts map[string]mount // by the id of a container, or of a builder's mount
	// layersDir and mountsDir are the folders with their records.
	layersDir, mountsDir string
}

// layer is a read-only layer, of images.
type layer struct {
	volume string
	below
}

// mount is a writable layer on top of an image's topmost layer. If init is not "", it is a
// volume between the two, with the files that Docker puts into each container.
type mount struct {
	volume, init string
	below
}

// below says what is below a layer.
type below struct {
	chain string // of the layer below, "" if that is the base device
	lost  error  // why the layer below is unknown
}

// readLayers reads the layer database. Damaged records are warnings.
func (s source) readLayers(ctx context.Context, c *catalog) (db layerDB, err error) {
	db.layersDir, db.mountsDir = layersDir, mountsDir
	var damaged []error
	// Folders with other names are layers that are being removed.
	layers, chains := s.list(c, layersDir, &c.ImagesLost, func(e fs.DirEntry) bool { return e.IsDir() && isID(e.Name()) })
	defer layers.Close()
	db.layers, damaged, err = record.Each(ctx, chains, func(chain string) (layer, error) {
		volume, err := readVolume(layers, chain+"/cache-id")
		return layer{volume, readBelow(layers, chain+"/parent")}, err
	})
	c.warn(damaged...)
	if err != nil {
		return layerDB{}, err
	}
	mounts, ids := s.list(c, mountsDir, &c.ContainersLost, fs.DirEntry.IsDir)
	defer mounts.Close()
	db.mounts, damaged, err = record.Each(ctx, ids, func(id string) (mount, error) {
		volume, err := readVolume(mounts, id+"/mount-id")
		if err != nil {
			return mount{}, err
		}
		m := mount{volume: volume, below: readBelow(mounts, id+"/parent")}
		m.init, err = readVolume(mounts, id+"/init-id")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.lost = err
		}
		return m, nil
	})
	c.warn(damaged...)
	return db, err
}

// readVolume reads a file with the name of a volume.
func readVolume(dir *record.Folder, name string) (string, error) {
	text, err := readWord(dir, name)
	if err != nil {
		return "", err
	}
	if !isVolume(text) {
		return "", fmt.Errorf("%s: %.40q is not the name of a volume", dir.Path(name), text)
	}
	return text, nil
}

// readBelow reads the file "parent" of a layer.
func readBelow(dir *record.Folder, name string) below {
	text, err := readWord(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return below{}
	}
	if err != nil {
		return below{lost: err}
	}
	chain, ok := fromDigest(text)
	if !ok {
		return below{lost: fmt.Errorf("%s: %.80q is not the digest of a layer", dir.Path(name), text)}
	}
	return below{chain: chain}
}

func readWord(dir *record.Folder, name string) (string, error) {
	const maxWord = 4096 // bytes
	text, err := dir.ReadFile(name, maxWord)
	return strings.TrimSpace(string(text)), err
}
