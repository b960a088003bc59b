package block

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attachLoop puts a loop device over a file until the test ends.
func attachLoop(t *testing.T, path string, readOnly bool) (node string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loop device")
	}
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs root: loop device: %v", err)
	}
	defer ctl.Close()
	backing, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	for range 10 {
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatal(err)
		}
		node = "/dev/loop" + strconv.Itoa(n)
		loop, err := os.OpenFile(node, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		if readOnly {
			config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
		}
		copy(config.Info.File_name[:len(config.Info.File_name)-1], path)
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			t.Cleanup(func() { loop.Close() }) // the last close detaches it
			return node
		}
		loop.Close()
		if err != unix.EBUSY {
			t.Fatal(err)
		}
	}
	t.Fatal("no loop device is free")
	return ""
}

func TestFileUnderALoopDeviceIsInUse(t *testing.T) {
	t.Parallel()
	path, contents := writeFile(t, 1<<20)
	if holder, err := InUse(path); holder != "" || err != nil {
		t.Fatalf("before: %q, %v", holder, err)
	}
	node := attachLoop(t, path, false)
	want := filepath.Base(node)

	link := path + "-hard"
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, link} {
		if holder, err := InUse(p); holder != want || err != nil {
			t.Errorf("InUse(%s) = %q, %v; want %q", p, holder, err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if holder, err := InUse(link); holder != want || err != nil {
		t.Errorf("after its path at the time of attaching was removed: %q, %v", holder, err)
	}
	if holder, err := InUse(node); holder != "" || err != nil {
		t.Errorf("the loop device, on which nothing is stacked: %q, %v", holder, err)
	}

	for _, direct := range []bool{false, true} {
		f := mustOpen(t, node, Options{Direct: direct})
		if f.Size() != 1<<20 || f.Direct() != direct || f.Identity().Rdev == 0 {
			t.Errorf("a block device: Size %d, Direct %v, %v", f.Size(), f.Direct(), f.Identity())
		}
		p := make([]byte, 1000)
		if _, err := f.ReadAt(t.Context(), p, 700); err != nil || string(p) != string(contents[700:1700]) {
			t.Errorf("a block device, direct %v: %v", direct, err)
		}
		if at, err := f.NextHole(t.Context(), 5); at != 1<<20 || err != nil {
			t.Errorf("a block device: NextHole = %d, %v", at, err)
		}
	}
}

func TestFileUnderAReadOnlyLoopDeviceIsNotInUse(t *testing.T) {
	t.Parallel()
	path, _ := writeFile(t, 1<<20)
	attachLoop(t, path, true)
	if holder, err := InUse(path); holder != "" || err != nil {
		t.Errorf("InUse = %q, %v", holder, err)
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
		got, err := h.inUse(Identity{Rdev: unix.Mkdev(8, minor)})
		if got != want || err != nil {
			t.Errorf("8:%d: %q, %v; want %q", minor, got, err, want)
		}
	}
}

func TestBackingFileIsFoundWithoutTheLoopDevice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := func(name string) Identity {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return identify(st)
	}
	attached, replaced, odd := id("attached"), id("replaced"), id("odd (deleted)")
	h := fakeHost(t, map[string]string{
		"block/loop0/size":              "0",
		"block/loop1/loop/backing_file": filepath.Join(dir, "replaced (deleted)\n"),
		"block/loop2/loop/backing_file": filepath.Join(dir, "attached\n"),
		"block/loop3/loop/backing_file": filepath.Join(dir, "odd (deleted)\n"),
	}, nil)
	for want, id := range map[string]Identity{"loop2": attached, "": replaced, "loop3": odd} {
		if got, err := h.inUse(id); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestInUseOfACharacterDeviceIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := InUse("/dev/null"); err == nil || !strings.Contains(err.Error(), "character device") {
		t.Errorf("/dev/null: %v", err)
	}
}
