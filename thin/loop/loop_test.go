package loop

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/inuse"
)

const mib = 1 << 20

// needsLoops skips the test if no loop device can be attached.
func needsLoops(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loop device")
	}
	f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs root: loop device: %v", err)
	}
	f.Close()
}

func newFile(t testing.TB, bytes int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, bytes)); err != nil {
		t.Fatal(err)
	}
	return path
}

// attach attaches a device until the test ends.
func attach(t testing.TB, path string, o Options) *Device {
	t.Helper()
	needsLoops(t)
	d, err := Attach(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// hasFlags reports whether a device has all the given flags, LO_FLAGS_….
func hasFlags(t testing.TB, node *os.File, flags uint32) bool {
	t.Helper()
	status, err := statusOf(node)
	if err != nil {
		t.Fatal(err)
	}
	return status.Flags&flags == flags
}

// over lists the numbers of the devices that are attached to a file. Devices of other tests may come and
// go meanwhile.
func over(t testing.TB, path string) []uint64 {
	t.Helper()
	found, err := inuse.Devices(path)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWritesToTheDeviceAreInTheFile(t *testing.T) {
	t.Parallel()
	path := newFile(t, mib+700)
	d := attach(t, path, Options{})
	if size, err := d.SizeBytes(); size != mib+512 || err != nil {
		t.Errorf("%d bytes, %v", size, err)
	}
	want := bytes.Repeat([]byte("loop"), 1024)
	node, err := os.OpenFile(d.Path(), os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if _, err := node.WriteAt(want, 8192); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(text[8192:8192+4096], want) {
		t.Error("the file lacks what was written", err)
	}
}

func TestClosedDeviceIsDetached(t *testing.T) {
	t.Parallel()
	path := newFile(t, mib)
	d := attach(t, path, Options{})
	found := over(t, path)
	if !slices.Equal(found, []uint64{d.Number()}) {
		t.Errorf("%x instead of %x", found, d.Number())
	}
	if !hasFlags(t, d.node, unix.LO_FLAGS_AUTOCLEAR) {
		t.Error("no autoclear")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	// Other programs, such as udev, may have it open for a moment.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if found = over(t, path); len(found) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still attached: %+v", found)
		}
	}
}

func TestReadOnlyDeviceRefusesWrites(t *testing.T) {
	t.Parallel()
	path := newFile(t, mib)
	d := attach(t, path, Options{ReadOnly: true})
	if !hasFlags(t, d.node, unix.LO_FLAGS_READ_ONLY) {
		t.Error("not read-only")
	}
	node, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	if err == nil {
		_, err = node.WriteAt(make([]byte, 512), 0)
		node.Close()
	}
	if err == nil {
		t.Error("a write succeeded")
	}
}

func TestDeviceGrowsWithItsFile(t *testing.T) {
	t.Parallel()
	path := newFile(t, mib)
	d := attach(t, path, Options{})
	again, err := Open(d.Number())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Path() != d.Path() || again.Number() != d.Number() {
		t.Errorf("%+v instead of %+v", again, d)
	}
	if err := os.Truncate(path, 3*mib); err != nil {
		t.Fatal(err)
	}
	if err := again.Refresh(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Device{d, again} {
		if size, err := d.SizeBytes(); size != 3*mib || err != nil {
			t.Errorf("%d bytes, %v", size, err)
		}
	}
}

func TestBackingFileIsFoundAfterARename(t *testing.T) {
	t.Parallel()
	path := newFile(t, mib)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	d := attach(t, path, Options{})
	check := func(what, path string) {
		t.Helper()
		got, err := d.Backing()
		if want := (Backing{path, uint64(st.Dev), st.Ino}); got != want || err != nil {
			t.Errorf("%s: %+v instead of %+v, %v", what, got, want, err)
		}
	}
	check("as attached", path)
	moved, link := path+" moved", filepath.Join(filepath.Dir(path), "link")
	if err := errors.Join(os.Rename(path, moved), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	check("renamed", moved)
	if found := over(t, path); len(found) > 0 {
		t.Errorf("attached to the file that took its place: %+v", found)
	}
	if err := errors.Join(os.Link(moved, link), os.Remove(moved)); err != nil {
		t.Fatal(err)
	}
	check("the name is removed", "")
	if found := over(t, link); len(found) != 1 || found[0] != d.Number() {
		t.Errorf("by its other name: %+v", found)
	}
}

func TestDeviceIsDirectIfTheFilesystemAllows(t *testing.T) {
	t.Parallel()
	path := newFile(t, mib)
	d := attach(t, path, Options{})
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		if hasFlags(t, d.node, unix.LO_FLAGS_DIRECT_IO) {
			t.Error("direct, but the filesystem has no O_DIRECT")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stx unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &stx); err != nil || stx.Mask&unix.STATX_DIOALIGN == 0 || stx.Dio_offset_align != 512 {
		t.Skip("needs a filesystem that reports direct I/O of 512 bytes")
	}
	if !hasFlags(t, d.node, unix.LO_FLAGS_DIRECT_IO) {
		t.Error("not direct")
	}
}

// A device works on a filesystem without O_DIRECT, or one that only pretends to have it.
func TestFileInMemoryIsAttached(t *testing.T) {
	t.Parallel()
	needsLoops(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("needs root: tmpfs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte{7}, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	d := attach(t, path, Options{})
	defer d.Close()
	if text, err := os.ReadFile(d.Path()); err != nil || !bytes.Equal(text, bytes.Repeat([]byte{7}, mib)) {
		t.Errorf("%d bytes, which differ from the file's, %v", len(text), err)
	}
}

func TestManyAttachAtOnce(t *testing.T) {
	t.Parallel()
	needsLoops(t)
	const many = 16
	devices := make([]*Device, many)
	path := newFile(t, mib)
	var group sync.WaitGroup
	for i := range devices {
		group.Go(func() {
			d, err := Attach(t.Context(), path, Options{})
			if err != nil {
				t.Error(err)
			}
			devices[i] = d
		})
	}
	group.Wait()
	numbers := make(map[uint64]bool)
	for _, d := range devices {
		if d != nil {
			numbers[d.Number()] = true
			defer d.Close()
		}
	}
	if found := over(t, path); len(numbers) != many || len(found) != many {
		t.Errorf("%d devices, %d found", len(numbers), len(found))
	}
}

// Kernels before 5.8 have only the older calls; newer ones have both.
func TestOlderCallsMakeTheSameDevice(t *testing.T) {
	t.Parallel()
	needsLoops(t)
	path := newFile(t, mib)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	for range tries {
		index, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatal(err)
		}
		node, err := os.OpenFile("/dev/loop"+strconv.Itoa(index), os.O_RDWR, 0)
		if errors.Is(err, unix.ENXIO) { // somebody detaches it just now
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
		err = configureOld(int(node.Fd()), int(file.Fd()), path, Options{})
		if errors.Is(err, unix.EBUSY) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !hasFlags(t, node, unix.LO_FLAGS_AUTOCLEAR) || hasFlags(t, node, unix.LO_FLAGS_READ_ONLY) {
			t.Error("no autoclear, or read-only")
		}
		st, err := node.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if found := over(t, path); !slices.Equal(found, []uint64{st.Sys().(*syscall.Stat_t).Rdev}) {
			t.Errorf("%s is not over the file, but %x", node.Name(), found)
		}
		return
	}
	t.Fatal("no loop device is free")
}

func TestOnlyRegularFilesAreAttached(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, "/dev/null"} {
		if d, err := Attach(t.Context(), path, Options{}); err == nil || err.Error() != path+": not a regular file" {
			t.Errorf("%v, %v", d, err)
		}
	}
	if _, err := Attach(t.Context(), filepath.Join(dir, "missing"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestOpenRefusesADeviceThatIsNotAttached(t *testing.T) {
	t.Parallel()
	if d, err := Open(unix.Mkdev(8, 1)); err == nil {
		t.Error("opened a device that is not a loop device", d)
	}
	if d, err := Open(unix.Mkdev(blockdev.LoopMajor, 1<<19)); !errors.Is(err, unix.ENXIO) {
		t.Error("opened a device that does not exist", d, err)
	}
	for range 50 {
		d := attach(t, newFile(t, mib), Options{})
		// Detached by force; the descriptor stays open.
		if err := unix.IoctlSetInt(int(d.node.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
			t.Fatal(err)
		}
		d.Close()
		again, err := Open(d.Number())
		if err == nil { // another test has attached it again
			again.Close()
			continue
		}
		if !errors.Is(err, unix.ENXIO) {
			t.Error(err)
		}
		return
	}
	t.Error("each detached device was attached again by another test")
}

func TestContextEndsAttach(t *testing.T) {
	t.Parallel()
	needsLoops(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := newFile(t, mib)
	if d, err := Attach(ctx, path, Options{}); !errors.Is(err, context.Canceled) {
		t.Error(d, err)
	}
	if found := over(t, path); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

// The /dev of a container may lack the nodes of devices that exist.
func TestMissingNodeIsANodeError(t *testing.T) {
	t.Parallel()
	path := newFile(t, mib)
	d := attach(t, path, Options{})
	h := host{dev: t.TempDir()}
	var missing *NodeError
	if _, err := h.open(d.Number()); !errors.As(err, &missing) || missing.Number != blockdev.Text(d.Number()) {
		t.Error(err)
	} else {
		t.Log(err)
	}
	if _, err := h.attach(t.Context(), path, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	// Now with loop-control, which many containers have as their only node.
	if err := unix.Mknod(filepath.Join(h.dev, "loop-control"), unix.S_IFCHR|0o600, int(unix.Mkdev(10, 237))); err != nil {
		t.Skipf("needs device nodes: %v", err)
	}
	if _, err := h.attach(t.Context(), path, Options{}); errors.Is(err, fs.ErrPermission) {
		t.Skipf("needs a filesystem without nodev: %v", err)
	} else if !errors.As(err, &missing) {
		t.Error(err)
	}
	if found := over(t, path); len(found) != 1 {
		t.Errorf("left behind: %+v", found)
	}
}
