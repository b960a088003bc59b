package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/pools"
)

// containerdPool is containerd's pool as a bare one, with names for its devices.
func containerdPool(t *testing.T) []string {
	dir := pools.Containerd(t)
	names := "# containerd's devices are called after its pool\n"
	for id := 1; id <= 9; id++ {
		names += fmt.Sprintf("%d %d ctd-pool-snap-%d\n", id, 512<<20/512, id)
	}
	return barePool(t, dir, names)
}

// lvmPool cuts the pool's two halves out of a disk with an LVM volume group. Its
// extents are of 4 MiB and begin after 1 MiB.
func lvmPool(t *testing.T) []string {
	const extent = 4 << 20
	disk := pools.LVM(t)
	dir := t.TempDir()
	cut(t, disk, filepath.Join(dir, "meta"), 1<<20+276*extent, 4*extent)
	cut(t, disk, filepath.Join(dir, "data"), 1<<20+20*extent, 256*extent)
	names := ""
	for _, v := range []struct {
		id, extents int
		name        string
	}{
		{1, 125, "root"}, {2, 256, "vm-100-disk-0"}, {3, 125, "root-snap1"}, {4, 125, "root-snap2"}, {5, 100, "xfsvol"},
	} {
		names += fmt.Sprintf("%d %d %s\n", v.id, v.extents*extent/512, v.name)
	}
	return barePool(t, dir, names)
}

// barePool is the arguments for a pool in a folder's meta and data.
func barePool(t *testing.T, dir, names string) []string {
	return []string{"--names", writeFile(t, names), "pool:" + filepath.Join(dir, "meta") + "," + filepath.Join(dir, "data")}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// cut copies a part of a file, and its holes.
func cut(t *testing.T, from, to string, off, length int64) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	for done := int64(0); ; {
		data, err := unix.Seek(int(src.Fd()), off+done, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || data >= off+length {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		hole, err := unix.Seek(int(src.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			t.Fatal(err)
		}
		done = min(hole-off, length)
		part := io.NewSectionReader(src, data, off+done-data)
		if _, err := io.Copy(io.NewOffsetWriter(dst, data-off), part); err != nil {
			t.Fatal(err)
		}
	}
	if err := dst.Truncate(length); err != nil {
		t.Fatal(err)
	}
}
