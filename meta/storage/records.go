package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"thintree/meta/record"
)

// What is read at most. 10,000 containers have about 15 MiB of records.
const (
	maxFile  = 32 << 20 // bytes of a file with records
	maxNames = 1 << 17  // names of all containers together, and of one image
)

// layer is the part of a layer's record that is used: Layer in layers.go.
type layer struct {
	ID      string    `json:"id"`
	Parent  string    `json:"parent"`
	Created time.Time `json:"created"`
	Flags   struct {
		Incomplete any `json:"incomplete"` // true while the layer is made or deleted
	} `json:"flags"`
}

// image is the part of an image's record that is used: Image in images.go.
type image struct {
	ID       string    `json:"id"`
	Names    []string  `json:"names"`
	TopLayer string    `json:"layer"` // "" if the image has no layers
	Created  time.Time `json:"created"`
}

// container is the part of a container's record that is used: Container in containers.go.
type container struct {
	ID      string    `json:"id"`
	Names   []string  `json:"names"`
	ImageID string    `json:"image"`
	LayerID string    `json:"layer"`
	Created time.Time `json:"created"`
}

func (l layer) id() string     { return l.ID }
func (i image) id() string     { return i.ID }
func (c container) id() string { return c.ID }

// read reads lists of records, one after the other. A record whose id an earlier one has is
// left out, with a warning. So is a record without an id. A file that is missing is an empty
// list. lost is why there may be more records; it is a warning already.
func read[T interface{ id() string }](ctx context.Context, s source, c *catalog, paths ...string) (list []T, lost error) {
	known := make(map[string]bool)
	for _, path := range paths {
		if ctx.Err() != nil {
			return nil, nil // the caller returns this error
		}
		found, damaged, err := readFile[T](s, path)
		c.warn(damaged...)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.warn(err)
			lost = errors.Join(lost, err)
		}
		for _, r := range found {
			switch id := r.id(); {
			case id == "":
				c.warn(fmt.Errorf("%s: a record has no id", s.path(path)))
			case known[id]:
				c.warn(fmt.Errorf("%s: a second record has the id %.80q", s.path(path), id))
			default:
				known[id] = true
				list = append(list, r)
			}
		}
	}
	return list, lost
}

func readFile[T any](s source, path string) (list []T, damaged []error, err error) {
	real, err := s.real(path)
	if err != nil {
		return nil, nil, err
	}
	dir, err := record.OpenFolder(filepath.Dir(real))
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	return record.ReadList[T](dir, filepath.Base(real), maxFile)
}
