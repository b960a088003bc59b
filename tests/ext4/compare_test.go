package ext4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/ext4"
)

// look is how both sides are looked at. Access times are compared: a read-only
// mount leaves them as they lie on the disk.
var look = manifest.Options{More: true, SparseAbove: 64 * mib}

// truth is what the kernel shows of an image.
type truth struct {
	tree   manifest.Manifest
	statfs volfs.Statfs
}

// kernelTruth mounts an image as it lies, its journal unread.
func kernelTruth(t *testing.T, image string) truth {
	t.Helper()
	k := mount(t, image, "ro", "noload")
	defer k.unmount()
	tree, err := manifest.OfDir(t.Context(), k.path(), look)
	if err != nil {
		t.Fatal(err)
	}
	statfs, err := manifest.StatfsOfDir(k.path())
	if err != nil {
		t.Fatal(err)
	}
	return truth{tree, statfs}
}

// compare holds the reader against a read-only mount of an image.
func compare(t *testing.T, image string) {
	t.Helper()
	compareTruth(t, image, kernelTruth(t, image))
}

// compareTruth holds the reader against what is known of an image.
func compareTruth(t *testing.T, image string, want truth) {
	t.Helper()
	fs := open(t, image)
	got, err := manifest.OfFS(t.Context(), fs, look)
	if err != nil {
		t.Fatal(err)
	}
	if diff := manifest.Diff(want.tree, got); diff != "" {
		t.Errorf("tree of %d entries:\n%s", len(want.tree), diff)
	}
	statfs, err := fs.Statfs(t.Context())
	if diff := cmp.Diff(want.statfs, statfs); diff != "" || err != nil {
		t.Errorf("statfs: %v (-kernel +reader)\n%s", err, diff)
	}
	checkContract(t, fs, got)
	checkInfo(t, image, fs.Info())
}

// open opens an image with the reader.
func open(t *testing.T, image string) *ext4.FS {
	t.Helper()
	fs, err := ext4.Open(t.Context(), openVolume(t, image), volfs.Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return fs
}

// checkContract asks what a walk does not: folders in pieces, names that are
// absent, and the wrong kinds of file.
func checkContract(t *testing.T, fs volfs.FS, tree manifest.Manifest) {
	t.Helper()
	faults := 0
	seen := map[uint64]bool{}
	for _, e := range tree {
		if e.Err != "" || seen[e.More.Ino] {
			continue
		}
		seen[e.More.Ino] = true
		if err := checkEntry(t.Context(), fs, e); err != nil {
			if faults++; faults > 10 {
				t.Error("… and more faults of this kind")
				break
			}
			t.Errorf("%.100q: %v", e.Path, err)
		}
	}
	for _, ino := range []volfs.Ino{0, 1 << 31, 1<<32 + 2, 1<<64 - 1} {
		if a, err := fs.Stat(t.Context(), ino); err == nil {
			t.Errorf("Stat of inode %d, which cannot be: %+v", ino, a)
		}
	}
}

func checkEntry(ctx context.Context, fs volfs.FS, e manifest.Entry) error {
	a, err := fs.Stat(ctx, volfs.Ino(e.More.Ino))
	if err != nil {
		return err
	}
	switch {
	case a.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		err = manifest.CheckFolder(ctx, fs, a.Ino)
	case a.Mode&syscall.S_IFMT == syscall.S_IFREG && !strings.HasPrefix(e.Content, "!"):
		err = manifest.CheckFile(ctx, fs, a)
	}
	return errors.Join(err, manifest.CheckKind(ctx, fs, a))
}

// checkInfo compares what the reader says of the filesystem with dumpe2fs(8)
// and blkid(8).
func checkInfo(t *testing.T, image string, info volfs.Info) {
	t.Helper()
	header := map[string]string{}
	for line := range strings.Lines(run(t, "dumpe2fs", "-h", image)) {
		name, value, _ := strings.Cut(line, ":")
		header[name] = strings.TrimSpace(value)
	}
	features := strings.Fields(header["Filesystem features"])
	slices.Sort(features)
	dirty := slices.Contains(features, "needs_recovery") || strings.Contains(header["Filesystem state"], "not clean")
	want := volfs.Info{
		Type:     strings.TrimSpace(run(t, "blkid", "-p", "-o", "value", "-s", "TYPE", image)),
		UUID:     header["Filesystem UUID"],
		Label:    strings.TrimPrefix(header["Filesystem volume name"], "<none>"),
		Dirty:    dirty,
		Errors:   strings.Contains(header["Filesystem state"], "with errors"),
		Features: features,
	}
	var blocks, size int64
	fmt.Sscan(header["Block count"], &blocks)
	fmt.Sscan(header["Block size"], &size)
	want.SizeBytes = blocks * size

	info.Features = slices.Sorted(slices.Values(info.Features))
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("info (-dumpe2fs +reader):\n%s", diff)
	}
}

// fileVolume is an image file as a volume, with its reads counted.
type fileVolume struct {
	*os.File
	size  int64
	reads counter
}

func openVolume(t *testing.T, image string) *fileVolume {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return &fileVolume{File: f, size: st.Size()}
}

func (v *fileVolume) Size() int64 { return v.size }

func (v *fileVolume) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	v.reads.add(len(p))
	return v.File.ReadAt(p, off)
}

func (v *fileVolume) NextData(_ context.Context, off int64) (int64, error) {
	return v.seek(off, unix.SEEK_DATA)
}
func (v *fileVolume) NextHole(_ context.Context, off int64) (int64, error) {
	return v.seek(off, unix.SEEK_HOLE)
}

func (v *fileVolume) seek(off int64, whence int) (int64, error) {
	n, err := unix.Seek(int(v.Fd()), off, whence)
	if err == unix.ENXIO {
		return 0, io.EOF
	}
	return n, err
}

// openCounted opens an image with a reader that nothing has warmed.
func openCounted(t *testing.T, image string) (*ext4.FS, *fileVolume) {
	t.Helper()
	volume := openVolume(t, image)
	fs, err := ext4.Open(t.Context(), volume, volfs.Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { fs.Close() })
	return fs, volume
}
