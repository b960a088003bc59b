package lvm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/thin/block"
)

// newHost makes a host with block devices. Each is described by the contents of files in its folder of
// sysfs. The devices are regular files with the contents of a disk, empty ones otherwise.
func newHost(t *testing.T, devices map[string]map[string]string, disks map[string]disk) host {
	t.Helper()
	h := host{sys: t.TempDir(), dev: t.TempDir()}
	all := filepath.Join(t.TempDir(), "devices")
	for name, files := range devices {
		folder := filepath.Join(all, files["in"], name)
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.Symlink(folder, filepath.Join(h.sys, name))); err != nil {
			t.Fatal(err)
		}
		for file, text := range files {
			path := filepath.Join(folder, file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text+"\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(h.dev, strings.ReplaceAll(name, "!", "/"))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, disks[name].bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestDisksOfAHostAreThoseThatLVMLooksAt(t *testing.T) {
	t.Parallel()
	h := newHost(t, map[string]map[string]string{
		"sda":        {"dev": "8:0", "size": "100"},
		"sda1":       {"dev": "8:1", "size": "90", "in": "sda", "partition": "1"},
		"sr0":        {"dev": "11:0", "size": "2097151"},
		"fd0":        {"dev": "2:0", "size": "8"},
		"loop0":      {"dev": "7:0", "size": "0"},
		"dm-0":       {"dev": "254:0", "size": "8", "dm/uuid": "LVM-xyz", "dm/suspended": "0"},
		"dm-1":       {"dev": "254:1", "size": "8", "dm/uuid": "mpath-xyz", "dm/suspended": "0"},
		"dm-2":       {"dev": "254:2", "size": "8", "dm/uuid": "CRYPT-xyz", "dm/suspended": "1"},
		"cciss!c0d0": {"dev": "104:0", "size": "8"},
	}, nil)
	paths, listing, err := h.disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range paths {
		names = append(names, h.name(p))
	}
	if diff := cmp.Diff([]string{"cciss!c0d0", "dm-1", "sda", "sda1"}, names); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(h.sys, "sda", "diskseq"), []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, again, err := h.disks(t.Context()); again == listing || err != nil {
		t.Errorf("the listing is the same for another disk: %s, %v", again, err)
	}
}

// Two paths to a disk, and the partitions of both, show what the multipath device and its partition
// show. A copy of a disk is not left out.
func TestOfStackedDevicesTheUppermostCounts(t *testing.T) {
	t.Parallel()
	pv, other := simple(1, ""), simple(2, "")
	h := newHost(t, map[string]map[string]string{
		"sda":  {"holders/dm-0": ""},
		"sda1": {"in": "sda", "partition": "1"},
		"sdb":  {"holders/dm-0": ""},
		"sdb1": {"in": "sdb", "partition": "1"},
		"dm-0": {"holders/dm-1": ""},
		"dm-1": {},
		"sdc":  {"holders/dm-1": ""},
		"sdd":  {},
	}, map[string]disk{"sda1": pv, "sdb1": pv, "dm-1": pv, "sdc": other, "sdd": other})
	var devices []Device
	for _, name := range []string{"dm-0", "dm-1", "sda", "sda1", "sdb", "sdb1", "sdc", "sdd"} {
		f, err := block.Open(filepath.Join(h.dev, name), block.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		devices = append(devices, Device{Path: f.Name(), Reader: f})
	}
	left, err := h.uppermost(t.Context(), devices)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range left {
		names = append(names, h.name(d.Path))
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"dm-1", "sdc", "sdd"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestBytesOfAVolumeMayBeADisk(t *testing.T) {
	t.Parallel()
	p := append(simple(1, group(5, 1, someVolume)).bytes(), make([]byte, 100*mib)...)
	c, err := Read(t.Context(), []Device{memory(p)})
	if err != nil {
		t.Fatal(err)
	}
	if v := volume(t, c, "vg/a"); v.Record != "memory" || !v.Plain.Equal(linearAt(t, piece("memory", 0, 1))) {
		t.Errorf("%+v", v)
	}
}
