package disk

import (
	"context"
	"fmt"
	"path/filepath"

	"thintree/meta"
	"thintree/thin/block"
)

type source struct{ path string }

var _ meta.Source = source{}

// New is the source of the disk image or block device at a path.
func New(path string) meta.Source { return source{path} }

// String is the source as a person writes it.
func (s source) String() string { return "disk:" + s.path }

// Places is the path of the disk.
func (s source) Places() []string { return []string{s.path} }

// Stamp changes if another file or device is at the path. It is an error if there is none.
func (s source) Stamp(context.Context) (string, error) {
	look, err := block.LookAt(s.path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s, err)
	}
	return fmt.Sprint(look.Identity, look.SizeBytes), nil
}

// Load returns one volume, the disk as a whole. It is called as the file of the disk is.
func (s source) Load(ctx context.Context) (*meta.Catalog, error) {
	f, err := block.OpenRaw(ctx, s.path, block.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	defer f.Close()
	return &meta.Catalog{Volumes: []meta.Volume{{
		Name: filepath.Base(s.path), Plain: block.At(s.path), SizeBytes: f.Size(), Role: meta.RoleVolume, Record: s.path, Kind: "disk",
	}}}, nil
}
