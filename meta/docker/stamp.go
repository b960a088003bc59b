package docker

import (
	"context"

	"thintree/meta/record"
)

// Stamp changes when a device, a layer, an image or a container comes, goes or is renamed,
// and when a creation or deletion ends. The error is the error of ctx.
//
// Docker replaces a record by renaming, which changes the folder. So a look at the folders
// is enough, except for containers, whose records are in folders of their own.
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
	for _, path := range []string{containersDir, layersDir, mountsDir, imagesDir, namesFile, oldImagesDir, oldNamesFile} {
		l.Add(s.real(path))
	}
	l.Add(daemonPath(s.root))
	if err := s.lookAtContainers(ctx, l); err != nil {
		return nil, err
	}
	return l, s.devices.Look(ctx, l)
}

func (s source) lookAtContainers(ctx context.Context, l *record.Look) error {
	dir, err := s.folder(containersDir)
	if err != nil {
		return nil // it is missing, or Load returns the error
	}
	defer dir.Close()
	entries, err := dir.List()
	if err != nil {
		return nil
	}
	file := configFile
	if s.isOld() {
		file = oldConfigFile
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.AddIn(dir, e.Name()+"/"+file)
	}
	return nil
}
