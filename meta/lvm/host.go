package lvm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
)

// host is where the kernel describes block devices. Tests have others.
type host struct {
	sys string // the folder with a folder for each block device
	dev string // the folder of device nodes
}

var system = host{sys: "/sys/class/block", dev: "/dev"}

// The major numbers of drives in which there may be nothing. LVM does not look at them either, and a
// look may take long.
const (
	floppyMajor = 2
	cdromMajor  = 11
)

// disks are the paths of the block devices that may be disks of a volume group, sorted. As in LVM,
// logical volumes are none. lvm.conf, which may name others, is not read.
//
// The listing changes if a device comes, goes, or is another one.
func (h host) disks(ctx context.Context) (paths []string, listing string, err error) {
	entries, err := os.ReadDir(h.sys)
	if err != nil {
		return nil, "", err
	}
	var b strings.Builder
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		name := e.Name()
		size := h.attribute(name, "size")
		number, err := blockdev.Parse(h.attribute(name, "dev"))
		if err != nil || size == "" || size == "0" {
			continue // it went, or nothing is in it
		}
		if major := unix.Major(number); major == floppyMajor || major == cdromMajor {
			continue
		}
		if strings.HasPrefix(h.attribute(name, "dm/uuid"), "LVM-") || h.attribute(name, "dm/suspended") == "1" {
			continue // of a suspended device nothing can be read
		}
		fmt.Fprintf(&b, "%s %s %s %s\n", name, blockdev.Text(number), size, h.attribute(name, "diskseq"))
		// In the names of sysfs a slash is an exclamation mark.
		paths = append(paths, filepath.Join(h.dev, strings.ReplaceAll(name, "!", "/")))
	}
	slices.Sort(paths)
	return paths, b.String(), nil
}

// attribute reads a file that describes a device, "" if it cannot be read.
func (h host) attribute(name, file string) string {
	text, err := os.ReadFile(filepath.Join(h.sys, name, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// holders are the names of the devices that are stacked on a device, or on the disk that it is a
// partition of.
func (h host) holders(name string) (list []string) {
	real, err := filepath.EvalSymlinks(filepath.Join(h.sys, name))
	if err != nil {
		return nil
	}
	folders := []string{real}
	if _, err := os.Stat(filepath.Join(real, "partition")); err == nil {
		folders = append(folders, filepath.Dir(real))
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(folder, "holders"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, e := range entries {
			list = append(list, e.Name())
		}
	}
	return list
}

// isBelow reports whether a device of a list is stacked on the device, directly or not.
func (h host) isBelow(name string, list []string) bool {
	seen := map[string]bool{name: true}
	for next := []string{name}; len(next) > 0; {
		holders := h.holders(next[0])
		next = next[1:]
		for _, holder := range holders {
			if slices.Contains(list, holder) {
				return true
			}
			if !seen[holder] {
				seen[holder] = true
				next = append(next, holder)
			}
		}
	}
	return false
}

// uppermost leaves out devices that show what another one shows too, which is stacked on them: the
// paths of a multipath device, and the copies of an md device.
func (h host) uppermost(ctx context.Context, devices []Device) ([]Device, error) {
	names := make(map[string][]string) // of devices, by the id of the physical volume
	ids := make(map[string]string)     // by the path
	for _, d := range devices {
		label, _ := readLabel(ctx, d.Reader)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if label != nil {
			names[label.PVUUID] = append(names[label.PVUUID], h.name(d.Path))
			ids[d.Path] = label.PVUUID
		}
	}
	return slices.DeleteFunc(slices.Clone(devices), func(d Device) bool {
		id, ok := ids[d.Path]
		// What has no label of its own may have partitions. The kernel has devices for these.
		return !ok || len(names[id]) > 1 && h.isBelow(h.name(d.Path), names[id])
	}), nil
}

// name is the name in sysfs of a device of [host.disks].
func (h host) name(path string) string {
	name, _ := filepath.Rel(h.dev, path)
	return strings.ReplaceAll(name, "/", "!")
}
