package containerd

import (
	"context"
	"strings"

	"thintree/meta/record"
)

// Stamp changes when containerd ends a transaction in one of the three databases, and when
// its configuration changes. The error is the error of ctx.
func (s source) Stamp(ctx context.Context) (string, error) {
	l, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	return l.Stamp(), nil
}

// look looks at everything that a stamp covers.
func (s source) look(ctx context.Context) (*record.Look, error) {
	l := record.NewLook()
	c, _ := s.config()
	for _, text := range []string{c.RootPath, c.PoolName} {
		for _, b := range []byte(text) {
			l.AddNumber(uint64(b))
		}
		l.AddNumber(uint64(len(text)))
	}
	l.Add(s.metaFile())
	f := s.folder(c)
	l.Add(f.real(""))
	names, err := f.databases()
	if err != nil {
		return l, ctx.Err() // Load returns the error
	}
	for _, name := range names {
		l.Add(f.real(name))
	}
	return l, ctx.Err()
}

// metaFile is the path of meta.db without symbolic links.
func (s source) metaFile() (string, error) {
	return folder{topOf(s.root), s.root}.real(metaFile)
}

// databases lists the databases of a snapshotter's folder, sorted by name.
func (f folder) databases() (names []string, err error) {
	real, err := f.real("")
	if err != nil {
		return nil, err
	}
	dir, err := record.OpenFolder(real)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.List()
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), dbSuffix) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}
