package docker

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// reference is a name of an image.
type reference struct {
	name  string
	image string // the image's id
	valid bool   // image is an id
}

// readRepositories reads a file with the names of images: by repository, what is named by tag
// or digest. It is a warning if the file is missing and needed: Docker makes it at its first start.
func (s source) readRepositories(c *catalog, file string, needed bool) map[string]map[string]string {
	var r struct {
		Repositories map[string]map[string]string
	}
	dir, err := s.folder(filepath.Dir(file))
	if err == nil {
		defer dir.Close()
		err = dir.ReadJSON(filepath.Base(file), maxConfig, &r)
	}
	if err != nil {
		if needed || !errors.Is(err, fs.ErrNotExist) {
			c.warn(err)
		}
		return nil
	}
	return r.Repositories
}

// oldName is a name as docker images had it. Before Docker 1.10 a file with names has
// repositories and tags only.
func oldName(repository, tag string) string {
	if strings.Contains(tag, ":") { // it is a digest
		return repository + "@" + tag
	}
	return repository + ":" + tag
}

// sortNames are the names of images, sorted, by image id. images are the ids of those with a
// record, sorted. sortNames warns about names of other images. file has the names.
//
// A pulled image has a name repository@digest beside each repository:tag. That name is used
// only if the image has no tag.
func (s source) sortNames(c *catalog, file string, list []reference, images []string) map[string][]string {
	slices.SortFunc(list, func(a, b reference) int { return cmp.Compare(a.name, b.name) })
	tags, digests := make(map[string][]string), make(map[string][]string)
	for _, r := range list {
		_, known := slices.BinarySearch(images, r.image)
		err := checkName(r.name)
		switch {
		case err != nil:
			c.warn(fmt.Errorf("%s: %w", s.path(file), err))
		case !r.valid || !known:
			c.warn(fmt.Errorf("%s: %s is the name of an image without a record, %.80q", s.path(file), r.name, r.image))
		case strings.Contains(r.name, "@"):
			digests[r.image] = append(digests[r.image], r.name)
		default:
			tags[r.image] = append(tags[r.image], r.name)
		}
	}
	for id, names := range digests {
		if len(tags[id]) == 0 {
			tags[id] = names
		}
	}
	return tags
}
