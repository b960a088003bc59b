package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"thintree/meta"
	"thintree/meta/record"
)

// image is the part of an image's record that is used.
type image struct {
	RootFS *struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// addImages adds the images that have layers.
func (s source) addImages(ctx context.Context, c *catalog, db layerDB) error {
	dir, ids := s.list(c, imagesDir, &c.ImagesLost, func(e fs.DirEntry) bool { return isID(e.Name()) })
	defer dir.Close()
	chains, damaged, err := record.Each(ctx, ids, func(id string) (string, error) { return readImage(dir, id) })
	c.warn(damaged...)
	if err != nil {
		return err
	}
	names := s.readNames(c, ids)
	for _, id := range ids {
		chain := chains[id]
		if chain == "" {
			continue
		}
		l, ok := db.layers[chain]
		switch {
		case !ok:
			c.warn(fmt.Errorf("%s: its topmost layer, %s, has no record", s.path(imagesDir, id), chain))
		case c.volumes[l.volume]:
			c.Images = append(c.Images, meta.Image{ID: id, Names: names[id], Volume: l.volume})
		}
	}
	return nil
}

// readImage reads an image's record, and returns the chain id of its topmost layer, "" if
// it has no layers.
func readImage(dir *record.Folder, id string) (string, error) {
	path := dir.Path(id)
	var r image
	if err := dir.ReadJSON(id, maxConfig, &r); err != nil {
		return "", err
	}
	if r.RootFS == nil {
		return "", fmt.Errorf("%s: no rootfs", path)
	}
	chain, err := chainID(r.RootFS.DiffIDs)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return chain, nil
}

// chainID is the id of a chain of layers, "" if there are none. diffs are the digests of
// the layers' contents, from the lowest up. chain(1) is diff(1); chain(n) is the digest of
// "chain(n-1) diff(n)".
func chainID(diffs []string) (string, error) {
	chain := ""
	for i, diff := range diffs {
		digits, ok := fromDigest(diff)
		if !ok {
			return "", fmt.Errorf("%.80q is not the digest of a layer", diff)
		}
		if i == 0 {
			chain = digits
			continue
		}
		sum := sha256.Sum256([]byte(digestPrefix + chain + " " + diff))
		chain = hex.EncodeToString(sum[:])
	}
	return chain, nil
}

// readNames reads the names of images, sorted, by image id. It warns about names of images
// that have no record.
//
// A pulled image has a name repository@digest beside each repository:tag. That name is used
// only if the image has no tag.
func (s source) readNames(c *catalog, images []string) map[string][]string {
	path := s.path(namesFile)
	var r struct {
		Repositories map[string]map[string]string // name, reference, image
	}
	dir, err := s.folder(filepath.Dir(namesFile))
	if err == nil {
		defer dir.Close()
		err = dir.ReadJSON(filepath.Base(namesFile), maxConfig, &r)
	}
	if err != nil {
		// Docker makes the file at its first start.
		if len(images) > 0 || !errors.Is(err, fs.ErrNotExist) {
			c.warn(err)
		}
		return nil
	}
	tags, digests := make(map[string][]string), make(map[string][]string)
	for _, repository := range slices.Sorted(maps.Keys(r.Repositories)) {
		references := r.Repositories[repository]
		for _, name := range slices.Sorted(maps.Keys(references)) {
			id, ok := fromDigest(references[name])
			if ok {
				_, ok = slices.BinarySearch(images, id)
			}
			err := checkName(name)
			switch {
			case err != nil:
				c.warn(fmt.Errorf("%s: %w", path, err))
			case !ok:
				c.warn(fmt.Errorf("%s: %s is the name of an image without a record, %.80q", path, name, references[name]))
			case strings.Contains(name, "@"):
				digests[id] = append(digests[id], name)
			default:
				tags[id] = append(tags[id], name)
			}
		}
	}
	for id, names := range digests {
		if len(tags[id]) == 0 {
			tags[id] = names
		}
	}
	return tags
}
