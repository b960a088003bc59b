package record

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
)

// readers is how many records are read at once. It does not depend on the number of
// processors, because uncached records wait for the disk.
const readers = 8

// Each calls read for each name, several calls at once, and returns the results by name. It
// leaves out names whose error is [fs.ErrNotExist]: those records vanished. damaged has all
// other errors, in the order of names. err is the error of ctx.
func Each[T any](ctx context.Context, names []string, read func(name string) (T, error)) (found map[string]T, damaged []error, err error) {
	values, errs := make([]T, len(names)), make([]error, len(names))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(readers, len(names)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					return
				}
				values[i], errs[i] = read(names[i])
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	found = make(map[string]T, len(names))
	for i, name := range names {
		switch {
		case errs[i] == nil:
			found[name] = values[i]
		case !errors.Is(errs[i], fs.ErrNotExist):
			damaged = append(damaged, errs[i])
		}
	}
	return found, damaged, nil
}
