package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"thintree/meta"
	"thintree/thin/block"
	"thintree/volfs/probe"
)

// System is disks as one of the naming systems.
var System = meta.System{
	Name:     "disk",
	Argument: "IMAGE",
	Noun:     "a disk",
	Help:     "a raw disk image or block device with a filesystem or\npartitions",
	Sign:     "a disk has a filesystem or a partition table on it",
	Open: func(path string, _ meta.Options) (meta.Source, error) {
		if path == "" {
			return nil, errors.New("disk: names no image: disk:vm.img")
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		return New(path), nil
	},
	Recognise: recognise,
}

// recognise reports whether a file or block device has a filesystem or a partition table on it.
func recognise(ctx context.Context, path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil || st.IsDir() {
		return false, err
	}
	f, err := block.Open(path, block.Options{})
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := block.CheckRaw(ctx, path, f); err != nil {
		return false, err
	}
	found, err := probe.Probe(ctx, f)
	return found.Kind == probe.KindFilesystem || found.Kind == probe.KindPartitionTable, err
}
