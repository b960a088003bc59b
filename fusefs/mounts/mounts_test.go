package mounts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrepareResolvesLinks(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "a/folder")
	if err := errors.Join(
		os.MkdirAll(folder, 0o755),
		os.Symlink("a", filepath.Join(dir, "up")),
		os.Symlink("a/folder", filepath.Join(dir, "link")),
		os.Symlink("link", filepath.Join(dir, "link2")),
	); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"a/folder", "up/folder", "link", "link2", "a/../up/./folder/"} {
		got, err := Prepare(filepath.Join(dir, path))
		if err != nil || got != folder {
			t.Errorf("%s: %s, %v, want %s", path, got, err, folder)
		}
	}
}

func TestPrepareRefusesAnythingButAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink("nowhere", filepath.Join(dir, "dangling"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file: %v", err)
	}
	for _, name := range []string{"missing", "missing/below", "dangling"} {
		if _, err := Prepare(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want ErrNotExist", name, err)
		}
	}
}

func TestUnmountRefusesAnythingButATree(t *testing.T) {
	t.Parallel()
	for _, path := range []string{t.TempDir(), "/proc", "/"} {
		for _, lazy := range []bool{false, true} {
			if err := Unmount(path, lazy); err == nil || !strings.Contains(err.Error(), "no thintree is mounted here") {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}
