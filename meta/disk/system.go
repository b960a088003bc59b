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

// lvmMember is the type of a disk of LVM's, which package lvm recognises.
const lvmMember = "LVM2_member"

// recognise reports whether a file or block device has a filesystem, a partition table, or something
// else that is known on it.
func recognise(ctx context.Context, path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil || st.IsDir() {
		return false, err
	}
	f, err := block.OpenRaw(ctx, path, block.Options{})
	if err != nil {
		return false, err
	}
	defer f.Close()
	found, err := probe.Probe(ctx, f)
	switch found.Kind {
	case probe.KindFilesystem, probe.KindPartitionTable, probe.KindAmbivalent:
		return true, nil
	case probe.KindContainer:
		return found.Signatures[0].Type != lvmMember, nil
	}
	return false, err
}
