package reader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestDiskThatChangesHasAnotherEpoch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "before")
	d, err := OpenDisk(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	is := func(step string, changed bool, epoch int, text string) {
		t.Helper()
		if c, err := d.Refresh(t.Context()); err != nil || c != changed || d.Epoch() != epoch {
			t.Errorf("%s: changed %v, %v, epoch %d, want %v and %d", step, c, err, d.Epoch(), changed, epoch)
		}
		got := make([]byte, len(text))
		if _, err := d.ReadAt(t.Context(), got, 0); err != nil || string(got) != text || d.Size() != int64(len(text)) {
			t.Errorf("%s: it holds %q of %d bytes, %v", step, got, d.Size(), err)
		}
	}
	is("nothing happened", false, 0, "before")
	write(path, "written")
	is("it was written to", true, 1, "written")
	write(path+".new", "replaced")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	is("it was replaced", true, 2, "replaced")
	if err := os.Rename(path, path+".gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Refresh(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing disk: %v", err)
	}
	if err := os.Rename(path+".gone", path); err != nil {
		t.Fatal(err)
	}
	is("it is there again", true, 3, "replaced")
	if d.Live() {
		t.Error("a file that nobody uses is live")
	}
}

func TestDiskThatIsNoRawImageIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	if err := os.WriteFile(path, append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 1024)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDisk(t.Context(), path); err == nil {
		t.Error("a qcow2 image is opened as a disk")
	}
}
