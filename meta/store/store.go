package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/meta/record"
	"thintree/thin/resolve"
)

// Options say what a store does not tell.
type Options struct {
	// Metadata and Data are the paths of the pool's halves where they are not the
	// loop files in the store (dm.thinpooldev); otherwise "".
	Metadata, Data string
}

type source struct{ Records }

var _ meta.Source = source{}

// New is the source of a store in a folder. What is wrong with it, Load says.
func New(dir string, o Options) meta.Source {
	return source{Records{Source: "store:" + dir, Root: dir, Top: topOf(dir), What: "a store", Options: o}}
}

func topOf(dir string) string {
	return Top(dir, record.OwnStore, record.DockerRoot+"/"+record.DockerStore)
}

// Recognise tells whether a folder is one that [New] takes: with the record of a
// base device or of a set of devices. It is true as well where the caller may not
// look at those, but a pool lies beside them.
//
// The folder devicemapper in a Docker root is one too: who knows Docker roots asks
// for them first.
func Recognise(dir string) bool {
	for _, name := range []string{record.DeviceSetFile, record.File("")} {
		err := Is(unix.S_IFREG, topOf(dir), filepath.Join(dir, record.RecordsDir, name))
		if err == nil {
			return true
		}
		if errors.Is(err, fs.ErrPermission) {
			return Is(unix.S_IFDIR, topOf(dir), filepath.Join(dir, record.PoolDir)) == nil
		}
	}
	return false
}

// Is looks whether something is of a kind of file, S_IFDIR or the like, with links
// on its path followed within the folder top.
func Is(kind uint32, top, path string) error {
	real, err := resolve.Within(top, path)
	if err != nil {
		return err
	}
	st, err := resolve.Stat(real)
	if err == nil && st.Mode&unix.S_IFMT != kind {
		err = fmt.Errorf("%s: %w", path, unix.EINVAL)
	}
	return err
}

// String is the source as a person writes it.
func (s source) String() string { return s.Source }

// Load reads all records. Where they change meanwhile it reads them again, at most
// five times.
//
// It is an error where the store has no records or they cannot be listed, and
// where it has no loop files and Options do not say where the pool is. Both wrap
// the error of the filesystem.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	c, err := record.Settled(ctx, s.look, s.Read)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(c.Volumes))
	for _, v := range c.Volumes {
		names[v.Name] = true
	}
	for i, v := range c.Volumes {
		if container, ok := strings.CutSuffix(v.Name, record.InitSuffix); ok && v.Role == meta.RoleVolume && names[container] {
			c.Volumes[i].Role = meta.RoleInit
		}
	}
	return c, nil
}

// Stamp changes when a device comes, goes or is marked as deleted, and when a
// creation or deletion ends. Its error is that of ctx.
func (s source) Stamp(ctx context.Context) (string, error) {
	l, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	return l.Stamp(), nil
}

func (s source) look(ctx context.Context) (*record.Look, error) {
	l := record.NewLook()
	return l, s.Look(ctx, l)
}
