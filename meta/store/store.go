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

// Options say what the records do not say.
type Options struct {
	// Pool says where the pool is if its halves are not files in the store (dm.thinpooldev).
	// Otherwise it is nil. It has the places of the halves, or the Device of an active pool. The
	// other fields of the Pool are not used.
	Pool *meta.Pool
}

type source struct{ Records }

var _ meta.Source = source{}

// New is the source of a store in a folder. It does not look at the folder; Load returns
// errors.
func New(dir string, o Options) meta.Source {
	return source{Records{Source: "store:" + dir, Root: dir, Top: topOf(dir), What: "a store", Options: o}}
}

func topOf(dir string) string {
	return Top(dir, record.OwnStore, record.DockerRoot+"/"+record.DockerStore, record.StorageRoot+"/"+record.DockerStore, record.UserRoot+"/"+record.DockerStore)
}

// Recognise reports whether a folder is a store: it has the record of a base device or of a
// device set. If the process may not read these records, Recognise reports whether the
// folder for the pool exists.
//
// The folder devicemapper in a root of Docker's or of containers/storage is not taken for one.
func Recognise(dir string) bool {
	if filepath.Base(dir) == record.DockerStore {
		return false
	}
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

// Is returns nil if the file at path has the type kind, such as S_IFDIR. Links are followed
// within the folder top.
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

// Load reads all records. If they change meanwhile it reads them again, at most five times
// in all.
//
// The errors are those of [Records.Read].
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

// Stamp changes when a device comes, goes or is marked as deleted, and when a creation or
// deletion ends. The error is the error of ctx.
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
