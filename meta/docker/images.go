package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"time"

	"thintree/meta"
	"thintree/meta/record"
)

// image is the part of an image's record that is used: the OCI image configuration.
type image struct {
	Created time.Time `json:"created"`
	Config  settings  `json:"config"`
	RootFS  *struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`

	chain string // the chain id of its topmost layer, "" if it has no layers
	long  bool   // its labels are too long
}

// addImages adds the images that have layers.
func (s source) addImages(ctx context.Context, c *catalog, db layerDB) error {
	dir, ids := s.list(c, imagesDir, &c.ImagesLost, func(e fs.DirEntry) bool { return isID(e.Name()) })
	defer dir.Close()
	images, damaged, err := record.Each(ctx, ids, func(id string) (image, error) { return readImage(dir, id) })
	c.warn(damaged...)
	if err != nil {
		return err
	}
	var list []reference
	for _, references := range s.readRepositories(c, namesFile, len(ids) > 0) {
		for name, digest := range references {
			id, ok := fromDigest(digest)
			if !ok {
				id = digest
			}
			list = append(list, reference{name, id, ok})
		}
	}
	names := s.sortNames(c, namesFile, list, ids)
	for _, id := range ids {
		i := images[id]
		if i.chain == "" {
			continue
		}
		l, ok := db.layers[i.chain]
		switch {
		case !ok:
			c.warn(fmt.Errorf("%s: its topmost layer, %s, has no record", s.path(imagesDir, id), i.chain))
		case c.volumes[l.volume]:
			if i.long {
				c.warn(tooLong(s.path(imagesDir, id), "labels"))
			}
			c.Images = append(c.Images, meta.Image{ID: id, Names: names[id], Volume: l.volume, Labels: i.Config.Labels, Created: i.Created.UTC()})
		}
	}
	return nil
}

// readImage reads an image's record.
func readImage(dir *record.Folder, id string) (image, error) {
	path := dir.Path(id)
	var i image
	if err := dir.ReadJSON(id, maxConfig, &i); err != nil {
		return image{}, err
	}
	if i.RootFS == nil {
		return image{}, fmt.Errorf("%s: no rootfs", path)
	}
	var err error
	if i.chain, err = chainID(i.RootFS.DiffIDs); err != nil {
		return image{}, fmt.Errorf("%s: %w", path, err)
	}
	i.RootFS, i.long = nil, i.Config.bound()
	return i, nil
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
