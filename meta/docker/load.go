package docker

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/meta/store"
	"thintree/thin/resolve"
)

// maxConfig is the greatest length, in bytes, of the record of a container or an image, and
// of the file with the names of images.
const maxConfig = 16 << 20

// Load reads all records. If they change meanwhile it reads them again, at most five times
// in all.
//
// The errors are those of [store.Records.Read], and a [resolve.TreeError] if a thintree
// mount covers records. If the root has no store but has remapped roots, the error names them.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	return record.Settled(ctx, s.look, s.load)
}

func (s source) load(ctx context.Context) (*meta.Catalog, error) {
	cat, err := s.devices.Read(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cmp.Or(remapped(s.root), err)
	}
	if err != nil {
		return nil, err
	}
	c := newCatalog(cat)
	if s.isOld() {
		err = s.addOld(ctx, c)
	} else {
		err = s.add(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	// Records that a mount hides are not lost, so this catalog would be wrong.
	for _, err := range c.Warnings {
		if errors.As(err, new(*resolve.TreeError)) {
			return nil, err
		}
	}
	return c.Catalog, nil
}

// add adds what the records beside those of devices say.
func (s source) add(ctx context.Context, c *catalog) error {
	db, err := s.readLayers(ctx, c)
	if err != nil {
		return err
	}
	store.SetOrigins(c.Volumes, s.origins(c, db))
	ids, containers, err := s.readContainers(ctx, c, configFile, func(id string) bool {
		_, mounted := db.mounts[id]
		return mounted
	})
	if err != nil {
		return err
	}
	s.addContainers(c, db, ids, containers, configFile)
	return s.addImages(ctx, c, db)
}

// catalog is a catalog that is being made.
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

// list opens a folder of the root and lists the names of the entries that keep selects. If
// the folder is missing there are no names. If it cannot be listed, list adds a warning,
// and adds the error to lost. f is nil if the folder cannot be opened.
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
