package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func openFolder(t testing.TB, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFilesAreReadUpToMaxBytes(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"empty": "", "eight": "12345678", "nine": "123456789"})
	f := openFolder(t, dir)
	for name, want := range map[string]string{"empty": "", "eight": "12345678"} {
		if text, err := f.ReadFile(name, 8); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := f.ReadFile("nine", 8); !errors.Is(err, unix.EFBIG) {
		t.Errorf("nine: %v", err)
	}
}

// Files in /proc are longer than their st_size.
func TestFilesLongerThanTheirSizeAreRead(t *testing.T) {
	t.Parallel()
	f := openFolder(t, "/proc/self")
	if text, err := f.ReadFile("status", 1<<20); err != nil || !strings.HasPrefix(string(text), "Name:") || !strings.HasSuffix(string(text), "\n") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, err := f.ReadFile("status", 100); !errors.Is(err, unix.EFBIG) {
		t.Errorf("%v", err)
	}
}

func TestReadingKeepsAccessTimes(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"file": good})
	old := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	for _, path := range []string{filepath.Join(dir, "file"), dir} {
		if err := os.Chtimes(path, old, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := ReadDir(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "file"), dir} {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Atim.Sec != old.Unix() {
			t.Errorf("%s: accessed at %d instead of %d, %v", path, st.Atim.Sec, old.Unix(), err)
		}
	}
}

func TestEachReturnsResultsAndErrors(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("%03d", i))
	}
	found, damaged, err := Each(t.Context(), names, func(name string) (string, error) {
		switch {
		case strings.HasSuffix(name, "00"):
			return "", errors.New(name)
		case strings.HasSuffix(name, "50"):
			return "", fmt.Errorf("gone: %w", fs.ErrNotExist)
		}
		return name, nil
	})
	if err != nil || len(found) != 980 || found["123"] != "123" {
		t.Errorf("%d found, %v", len(found), err)
	}
	if got := fmt.Sprint(damaged); got != "[000 100 200 300 400 500 600 700 800 900]" {
		t.Error(got)
	}
}

func TestEachOfNoNames(t *testing.T) {
	t.Parallel()
	found, damaged, err := Each(t.Context(), nil, func(string) (int, error) { return 0, errors.New("called") })
	if diff := cmp.Diff(map[string]int{}, found); diff != "" || damaged != nil || err != nil {
		t.Error(diff, damaged, err)
	}
}

func TestEachEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := Each(ctx, make([]string, 1_000_000), func(string) (int, error) {
		cancel()
		return 0, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
