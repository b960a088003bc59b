package ext4

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thintree/volfs"
)

// memVolume is a volume in memory, without holes.
type memVolume []byte

func (v memVolume) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(v).ReadAt(p, off)
}
func (v memVolume) Size() int64 { return int64(len(v)) }

func (v memVolume) NextData(_ context.Context, off int64) (int64, error) {
	if off >= v.Size() {
		return 0, io.EOF
	}
	return off, nil
}

func (v memVolume) NextHole(_ context.Context, off int64) (int64, error) {
	if off >= v.Size() {
		return 0, io.EOF
	}
	return v.Size(), nil
}

// fileVolume is a volume in a file.
type fileVolume struct {
	*os.File
	size int64
}

func (v fileVolume) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return v.File.ReadAt(p, off)
}

func (v fileVolume) Size() int64                                          { return v.size }
func (v fileVolume) NextData(_ context.Context, off int64) (int64, error) { return off, nil }
func (v fileVolume) NextHole(context.Context, int64) (int64, error)       { return v.size, nil }

// program runs a program of e2fsprogs, and skips the test if it is not installed.
func program(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			tb.Skipf("needs %s of e2fsprogs", name)
		}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// makeImage makes a filesystem and returns its path. The size is in the form that
// mke2fs(8) takes. fill, which may be nil, puts files for it into a folder.
func makeImage(tb testing.TB, size string, fill func(dir string), args ...string) string {
	tb.Helper()
	dir := tb.TempDir()
	image := filepath.Join(dir, "image")
	args = append([]string{"-q", "-F", "-U", "12345678-9abc-def0-1234-56789abcdef0", "-E", "hash_seed=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"}, args...)
	if fill != nil {
		source := filepath.Join(dir, "source")
		if err := os.Mkdir(source, 0o755); err != nil {
			tb.Fatal(err)
		}
		fill(source)
		args = append(args, "-d", source)
	}
	program(tb, "mke2fs", append(args, image, size)...)
	return image
}

// debugfs runs commands of debugfs(8) that change an image.
func debugfs(tb testing.TB, image string, commands ...string) string {
	tb.Helper()
	script := filepath.Join(tb.TempDir(), "commands")
	writeFile(tb, script, strings.Join(commands, "\n")+"\n")
	return program(tb, "debugfs", "-w", "-f", script, image)
}

func writeFile(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// load reads an image into memory.
func load(tb testing.TB, image string) memVolume {
	tb.Helper()
	p, err := os.ReadFile(image)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func mustOpen(tb testing.TB, v volfs.Volume) *FS {
	tb.Helper()
	fs, err := Open(context.Background(), v, volfs.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { fs.Close() })
	return fs
}

// resolve returns the inode at a path.
func resolve(tb testing.TB, fs *FS, path string) volfs.Ino {
	tb.Helper()
	ino := fs.Root()
	for name := range strings.SplitSeq(path, "/") {
		next, err := fs.Lookup(context.Background(), ino, name)
		if err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		ino = next
	}
	return ino
}

// list returns all entries of a folder, and the error at its end.
func list(fs *FS, ino volfs.Ino) ([]volfs.DirEntry, error) {
	var entries []volfs.DirEntry
	err := fs.ReadDir(context.Background(), ino, 0, func(e volfs.DirEntry) bool {
		entries = append(entries, e)
		return true
	})
	return entries, err
}

// names returns the names in a folder, "." and ".." left out.
func names(fs *FS, ino volfs.Ino) ([]string, error) {
	entries, err := list(fs, ino)
	var names []string
	for _, e := range entries {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
	}
	return names, err
}

func wantDamage(tb testing.TB, err error) {
	tb.Helper()
	var d *volfs.DamageError
	if !errors.As(err, &d) {
		tb.Errorf("error %v, want a DamageError", err)
	}
}

// readAll reads a file.
func readAll(tb testing.TB, fs *FS, ino volfs.Ino) []byte {
	tb.Helper()
	f, err := fs.Open(context.Background(), ino)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.NewSectionReader(volfs.ReaderAt(tb.Context(), f), 0, 1<<40))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
