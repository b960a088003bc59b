package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/record"
)

// maxConfig is how long the record of a container or an image, or the file with
// images' names, may be, in bytes.
const maxConfig = 16 << 20

// tries is how often the records are read where they change each time.
const tries = 5

// Load reads all records. Where they change meanwhile it reads them again, at
// most five times.
//
// It is an error where the root has no records of devices or they cannot be
// listed, and where it has no loop files and Options do not say where the pool
// is. Both wrap the error of the filesystem.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	before, _, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		cat, err := s.load(ctx)
		if err != nil {
			return nil, err
		}
		after, _, err := s.look(ctx)
		if err != nil {
			return nil, err
		}
		if after == before || try == tries {
			return cat, nil
		}
		before = after
	}
}

func (s source) load(ctx context.Context) (*meta.Catalog, error) {
	devices, damaged, err := record.ReadDir(ctx, s.path(recordsDir))
	if err != nil {
		return nil, s.noRecords(err)
	}
	pool, err := s.pool()
	if err != nil {
		return nil, err
	}
	c := &catalog{Catalog: meta.Catalog{Pools: []meta.Pool{pool}, Warnings: damaged}}
	db, err := s.readLayers(ctx, c)
	if err != nil {
		return nil, err
	}
	open, err := s.openTransaction(ctx)
	if err != nil {
		c.warn(err)
	}
	s.addVolumes(c, devices, db, open)
	if err := s.addContainers(ctx, c, db); err != nil {
		return nil, err
	}
	if err := s.addImages(ctx, c, db); err != nil {
		return nil, err
	}
	return &c.Catalog, nil
}

// noRecords says why there are no records of devices.
func (s source) noRecords(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		if _, err := os.Stat(s.root); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", s, noFolder{err})
		}
		return fmt.Errorf("%s: %s: %w: is this a Docker root with the devicemapper driver?", s, recordsDir, noFolder{err})
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %s: %w: only root may look into a Docker root", s, recordsDir, bare(err))
	}
	return fmt.Errorf("%s: %w", s, err)
}

// noFolder is an error of a folder that is missing, in words that say so.
type noFolder struct{ error }

func (e noFolder) Error() string {
	if errors.Is(e.error, unix.ENOTDIR) {
		return "not a directory"
	}
	return "no such directory"
}

func (e noFolder) Unwrap() error { return e.error }

// bare is an error without the path that the text around it gives.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// catalog is a catalog while it is made.
type catalog struct {
	meta.Catalog
	volumes map[string]bool // the names of its Volumes
}

func (c *catalog) warn(errs ...error) { c.Warnings = append(c.Warnings, errs...) }

// list is the names in a folder of which keep is true: none where it is missing,
// and a warning where it cannot be listed.
func (c *catalog) list(dir string, keep func(fs.DirEntry) bool) []string {
	entries, err := record.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.warn(err)
	}
	var names []string
	for _, e := range entries {
		if keep(e) {
			names = append(names, e.Name())
		}
	}
	return names
}
