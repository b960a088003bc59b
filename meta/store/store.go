package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"thintree/meta"
	"thintree/meta/record"
)

// Options say what a store does not tell.
type Options struct {
	// Metadata and Data are the paths of the pool's halves where they are not the
	// loop files in the store (dm.thinpooldev); otherwise "".
	Metadata, Data string
}

// Where things are in a store.
const (
	RecordsDir = "metadata"     // the records of devices
	PoolDir    = "devicemapper" // the loop files, metadata and data
)

type source struct{ Records }

var _ meta.Source = source{}

// New is the source of a store in a folder. What is wrong with it, Load says.
func New(dir string, o Options) meta.Source {
	return source{Records{Source: "store:" + dir, Root: dir, What: "a store", Options: o}}
}

// Recognise tells whether a folder is one that [New] takes: with the record of a
// base device or of a set of devices. It is true as well where the caller may not
// look at those, but a pool lies beside them.
//
// The folder devicemapper in a Docker root is one too: who knows Docker roots asks
// for them first.
func Recognise(dir string) bool {
	for _, name := range []string{record.DeviceSetFile, record.File("")} {
		st, err := os.Stat(filepath.Join(dir, RecordsDir, name))
		if err == nil && st.Mode().IsRegular() {
			return true
		}
		if errors.Is(err, fs.ErrPermission) {
			st, err := os.Stat(filepath.Join(dir, PoolDir))
			return err == nil && st.IsDir()
		}
	}
	return false
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
