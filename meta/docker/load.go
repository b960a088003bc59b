package docker

import (
	"context"
	"errors"
	"io/fs"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/thin/resolve"
)

// maxConfig is how long the record of a container or an image, or the file with
// images' names, may be, in bytes.
const maxConfig = 16 << 20

// Load reads all records. Where they change meanwhile it reads them again, at
// most five times.
//
// It is an error where the root has no records of devices or they cannot be
// listed, and where it has no loop files and Options do not say where the pool
// is. Both wrap the error of the filesystem.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	return record.Settled(ctx, s.look, s.load)
}

func (s source) load(ctx context.Context) (*meta.Catalog, error) {
	cat, err := s.devices.Read(ctx)
	if err != nil {
		return nil, err
	}
	c := newCatalog(cat)
	db, err := s.readLayers(ctx, c)
	if err != nil {
		return nil, err
	}
	s.addOrigins(c, db)
	if err := s.addContainers(ctx, c, db); err != nil {
		return nil, err
	}
	if err := s.addImages(ctx, c, db); err != nil {
		return nil, err
	}
	// What is only hidden now is not gone.
	for _, err := range c.Warnings {
		if errors.As(err, new(*resolve.TreeError)) {
			return nil, err
		}
	}
	return c.Catalog, nil
}

// catalog is a catalog while it is made.
type catalog struct {
	*meta.Catalog
	volumes map[string]bool // the names of its Volumes
}

func newCatalog(c *meta.Catalog) *catalog {
	volumes := make(map[string]bool, len(c.Volumes))
	for _, v := range c.Volumes {
		volumes[v.Name] = true
	}
	return &catalog{c, volumes}
}

func (c *catalog) warn(errs ...error) { c.Warnings = append(c.Warnings, errs...) }

// list opens a folder of the root and lists the names in it of which keep is true:
// none if it is missing, and a warning if it cannot be listed, which is why some of the
// catalog are lost then. The folder is nil if there are none.
func (s source) list(c *catalog, path string, lost *error, keep func(fs.DirEntry) bool) (f *record.Folder, names []string) {
	f, err := s.folder(path)
	var entries []fs.DirEntry
	if err == nil {
		entries, err = f.List()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.warn(err)
		*lost = errors.Join(*lost, err)
	}
	for _, e := range entries {
		if keep(e) {
			names = append(names, e.Name())
		}
	}
	return f, names
}
