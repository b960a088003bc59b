package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"thintree/meta"
)

func TestDiskIsOneVolume(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "vm.img")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := System.Open(path, meta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Volumes) != 1 || c.Volumes[0].Name != "vm.img" || c.Volumes[0].SizeBytes != 1<<20 || c.Volumes[0].IsThin() {
		t.Errorf("volumes %+v", c.Volumes)
	}
	if ok, err := System.Recognise(t.Context(), path); ok || err != nil {
		t.Errorf("zeros are recognised as a disk: %v, %v", ok, err)
	}
}

func TestMissingDiskIsAnError(t *testing.T) {
	t.Parallel()
	s := New(filepath.Join(t.TempDir(), "missing"))
	if _, err := s.Load(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
	if _, err := s.Stamp(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stamp: %v", err)
	}
}
