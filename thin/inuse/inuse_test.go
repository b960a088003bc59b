package inuse

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/loopmount"
)

// newFile makes a file of 1 MiB.
func newFile(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileUnderALoopDeviceIsInUse(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	if holder, err := By(path); holder != "" || err != nil {
		t.Fatalf("before: %q, %v", holder, err)
	}
	node := loopmount.Attach(t, path, false).Path()
	want := filepath.Base(node)

	link := path + "-hard"
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, link} {
		if holder, err := By(p); holder != want || err != nil {
			t.Errorf("By(%s) = %q, %v; want %q", p, holder, err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if holder, err := By(link); holder != want || err != nil {
		t.Errorf("after its path at the time of attaching was removed: %q, %v", holder, err)
	}
	if holder, err := By(node); holder != "" || err != nil {
		t.Errorf("the loop device, on which nothing is stacked: %q, %v", holder, err)
	}
}

func TestFileUnderAReadOnlyLoopDeviceIsNotInUse(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	loopmount.Attach(t, path, true)
	if holder, err := By(path); holder != "" || err != nil {
		t.Errorf("By = %q, %v", holder, err)
	}
}

// fakeHost is a host with a sysfs of these files, by their paths in it. devices maps the
// numbers of block devices to their folders.
func fakeHost(t *testing.T, files, devices map[string]string) host {
	t.Helper()
	h := host{sys: t.TempDir(), dev: "/nonexistent"}
	if err := os.MkdirAll(filepath.Join(h.sys, "dev/block"), 0o700); err != nil {
		t.Fatal(err)
	}
	for number, to := range devices {
		if err := os.Symlink(filepath.Join("../../devices", to), filepath.Join(h.sys, "dev/block", number)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		path := filepath.Join(h.sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestBlockDeviceWithHoldersIsInUse(t *testing.T) {
	t.Parallel()
	h := fakeHost(t, map[string]string{
		"devices/sda/sda1/holders/dm-3": "",
		"devices/sdb/size":              "9",
		"devices/sdc/holders/md0":       "",
		"block/dm-3/dm/name":            "docker-pool\n",
	}, map[string]string{"8:0": "sda", "8:1": "sda/sda1", "8:16": "sdb", "8:32": "sdc"})
	for minor, want := range map[uint32]string{0: "dm-3 (docker-pool)", 1: "dm-3 (docker-pool)", 16: "", 32: "md0"} {
		got, err := h.holder(unix.Mkdev(8, minor))
		if got != want || err != nil {
			t.Errorf("8:%d: %q, %v; want %q", minor, got, err, want)
		}
	}
}

func TestBackingFileIsFoundWithoutTheLoopDevice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"attached", "replaced", "odd (deleted)"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := fakeHost(t, map[string]string{
		"block/loop0/size":              "0",
		"block/loop1/dev":               "7:1\n",
		"block/loop1/loop/backing_file": filepath.Join(dir, "replaced (deleted)\n"),
		"block/loop2/dev":               "7:2\n",
		"block/loop2/loop/backing_file": filepath.Join(dir, "attached\n"),
		"block/loop3/dev":               "7:3\n",
		"block/loop3/loop/backing_file": filepath.Join(dir, "odd (deleted)\n"),
		"block/loop3/ro":                "0\n",
	}, nil)
	for name, want := range map[string]string{"attached": "loop2", "replaced": "", "odd (deleted)": "loop3"} {
		path := filepath.Join(dir, name)
		if got, err := h.by(path); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
		// The other loop devices may be attached to it too.
		if _, err := h.byAnother(path, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: loop devices that cannot be opened are no error: %v", name, err)
		}
	}
}

func TestUserOfACharacterDeviceIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := By("/dev/null"); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Errorf("/dev/null: %v", err)
	}
}

func TestFileUnderAReadOnlyLoopDeviceIsInUseByAnother(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	reads := loopmount.Attach(t, path, true)
	if by, err := ByAnother(path, 0); by != "" || err != nil {
		t.Errorf("under a read-only loop device: %q, %v", by, err)
	}
	if by, err := ByAnother(reads.Path(), 0); by != "" || err != nil {
		t.Errorf("a read-only loop device itself: %q, %v", by, err)
	}
	writes := loopmount.Attach(t, path, false)
	if by, err := ByAnother(path, reads.Number()); by != writes.Path() || err != nil {
		t.Errorf("under a second loop device: %q, %v; want %s", by, err, writes.Path())
	}
	if by, err := ByAnother(path, writes.Number()); by != "" || err != nil {
		t.Errorf("apart from its own loop device: %q, %v", by, err)
	}
	if by, err := ByAnother(reads.Path(), 0); by != writes.Path() || err != nil {
		t.Errorf("a loop device, by another one over its file: %q, %v; want %s", by, err, writes.Path())
	}
}

func TestLoopDevicesOverAFileAreListed(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	first, second := loopmount.Attach(t, path, true), loopmount.Attach(t, path, false)
	want := []attached{{first.Path(), first.Number(), true}, {second.Path(), second.Number(), false}}
	slices.SortFunc(want, func(a, b attached) int { return strings.Compare(a.path, b.path) })
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	id := st.Sys().(*syscall.Stat_t)
	if got, err := system.over(id.Dev, id.Ino); !slices.Equal(got, want) || err != nil {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if numbers, err := Devices(first.Path()); !slices.Equal(numbers, []uint64{first.Number()}) || err != nil {
		t.Errorf("a loop device is the devices %v, %v", numbers, err)
	}
	if numbers, err := Devices(path); len(numbers) != 2 || err != nil {
		t.Errorf("a file has the devices %v, %v", numbers, err)
	}
	if _, err := Devices(path + "missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a missing file: %v", err)
	}
}
