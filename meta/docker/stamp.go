package docker

import (
	"context"

	"thintree/meta/record"
)

// Stamp changes when a device, a layer, an image or a container comes, goes or
// gets another name, and when a creation or deletion ends. Its error is that of
// ctx.
//
// Docker replaces records by renaming, so a record's own change shows as one of
// its folder. Only a container's record is looked at by itself.
func (s source) Stamp(ctx context.Context) (string, error) {
	l, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	return l.Stamp(), nil
}

// look looks at all that a stamp is of.
func (s source) look(ctx context.Context) (*record.Look, error) {
	l := record.NewLook()
	for _, path := range []string{containersDir, layersDir, mountsDir, imagesDir, namesFile} {
		l.Add(s.real(path))
	}
	if err := s.lookAtContainers(ctx, l); err != nil {
		return nil, err
	}
	return l, s.devices.Look(ctx, l)
}

func (s source) lookAtContainers(ctx context.Context, l *record.Look) error {
	dir, err := s.folder(containersDir)
	if err != nil {
		return nil // it is missing, or Load says what is wrong with it
	}
	defer dir.Close()
	entries, err := dir.List()
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.AddIn(dir, e.Name()+"/"+configFile)
	}
	return nil
}
