package lvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"thintree/meta"
	"thintree/thin/block"
)

// System is LVM's volume groups as one of the naming systems.
var System = meta.System{
	Name:      "lvm",
	Argument:  "DISK,DISK|VG",
	Noun:      "a volume group of LVM",
	Help:      "all volume groups of LVM on disks, partitions or\nimages, whose paths have a slash; or one group of this\nhost, by its name or id",
	Sign:      "a disk or image has a label of LVM, or has partitions\nthat do",
	Open:      open,
	Recognise: recognise,
	Find:      find,
}

func open(argument string, _ meta.Options) (meta.Source, error) {
	if argument == "" {
		return nil, errors.New("lvm: names no disk and no group: lvm:/dev/sda,/dev/sdb or lvm:vg0")
	}
	if !strings.ContainsAny(argument, "/,") {
		return NewGroup(argument), nil
	}
	disks := split(argument)
	for i, disk := range disks {
		if !strings.Contains(disk, "/") {
			return nil, fmt.Errorf("lvm:%s: the path of a disk has a slash, %q has none: a file here is ./%[2]s", argument, disk)
		}
		var err error
		if disks[i], err = filepath.Abs(disk); err != nil {
			return nil, err
		}
	}
	return New(disks...), nil
}

// maxParts bounds the parts of which a path with commas is put together.
const maxParts = 256

// split splits DISK,DISK. A path may contain commas: the longest one that exists is taken.
func split(argument string) (paths []string) {
	parts := strings.SplitN(argument, ",", maxParts)
	for len(parts) > 0 {
		n := len(parts)
		for n > 1 && !exists(strings.Join(parts[:n], ",")) {
			n--
		}
		paths, parts = append(paths, strings.Join(parts[:n], ",")), parts[n:]
	}
	return paths
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// recognise reports whether a file or device has a physical volume.
func recognise(ctx context.Context, path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil || st.IsDir() {
		return false, err
	}
	return await(ctx, func() (bool, error) {
		f, err := openDisk(ctx, path)
		if err != nil {
			return false, err
		}
		defer f.Close()
		found, damaged, err := Device{Path: path, In: block.At(path), Reader: f}.scan(ctx)
		return len(found) > 0, errors.Join(append(damaged, err)...)
	})
}
