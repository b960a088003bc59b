package pool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/thin/block"
)

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "names")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWithoutNamesTheCatalogHasOnlyThePool(t *testing.T) {
	t.Parallel()
	s := New("/m", "/d", "")
	cat, err := s.Load(t.Context())
	want := &meta.Catalog{Pools: []meta.Pool{{Name: "pool", Metadata: block.At("/m"), Data: block.At("/d")}}}
	if diff := cmp.Diff(want, cat); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if stamp, err := s.Stamp(t.Context()); err != nil || stamp != "" {
		t.Error(stamp, err)
	}
	if s.String() != "pool:/m,/d" {
		t.Error(s)
	}
}

func TestNamesAreRead(t *testing.T) {
	t.Parallel()
	path := write(t, "# a comment\n\n1 2097152 base # the first\n \t16777215\t1\tvm-100-disk-0  \r\n0 18014398509481983 ünï#1\n2 8 vg/root\n3 8 vg/@7\n4 8 vg")
	cat, err := New("/m", "/d", path).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	volume := func(id uint32, bytes int64, name string) meta.Volume {
		return meta.Volume{Name: name, Pool: "pool", DeviceID: id, SizeBytes: bytes, Role: meta.RoleVolume, Record: path}
	}
	want := []meta.Volume{volume(1, 1<<30, "base"), volume(1<<24-1, 512, "vm-100-disk-0"), volume(0, 1<<63-512, "ünï#1"),
		volume(2, 4096, "vg/root"), volume(3, 4096, "vg/@7"), volume(4, 4096, "vg")}
	if diff := cmp.Diff(want, cat.Volumes); diff != "" {
		t.Error(diff)
	}
}

func TestInvalidLinesAreErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, says string }{
		"two words":          {"1 8", "2 words"},
		"four words":         {"1 8 a b", "4 words"},
		"a comment too soon": {"1 8 #a", "2 words"},
		"no id":              {"x 8 a", `device_id "x"`},
		"a negative id":      {"-1 8 a", `device_id "-1"`},
		"a high id":          {"16777216 8 a", `device_id "16777216"`},
		"no size":            {"1 8k a", `size_in_sectors "8k"`},
		"a size of zero":     {"1 0 a", `size_in_sectors "0"`},
		"a negative size":    {"1 -8 a", `size_in_sectors "-8"`},
		"a huge size":        {"1 18014398509481984 a", "size_in_sectors"},
		"a slash first":      {"1 8 /a", `"/a"`},
		"a slash last":       {"1 8 a/", `"a/"`},
		"two slashes":        {"1 8 a//b", `"a//b"`},
		"a dot inside":       {"1 8 a/./b", `"a/./b"`},
		"dots inside":        {"1 8 a/../b", `"a/../b"`},
		"a long folder":      {"1 8 a/" + strings.Repeat("n", 256) + "/b", "nnn"},
		"a long path":        {"1 8 " + strings.Repeat("n/", 2047) + "nn", "n/n"},
		"dot":                {"1 8 .", `"."`},
		"dots":               {"1 8 ..", `".."`},
		"a NUL":              {"1 8 a\x00b", `"a\x00b"`},
		"a long name":        {"1 8 " + strings.Repeat("n", 256), "nnn"},
		"a name with @":      {"1 8 @7", "@7"},
		"an id again":        {"9 8 a", "device 9 already has a name, in line 2"},
		"a name again":       {"1 8 nine", `"nine" is already given, in line 2`},
		"a long line":        {strings.Repeat("x", 1<<20), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, "# names\n9 8 nine\n"+c.line+"\n2 8 two\n")
			_, err := New("/m", "/d", path).Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), path+": line 3: ") || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 400 {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestFileOfNamesMustBeARegularFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := New("/m", "/d", filepath.Join(dir, "missing"))
	if _, err := missing.Load(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := missing.Stamp(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo} {
		if _, err := New("/m", "/d", path).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestStampChangesWithTheNames(t *testing.T) {
	t.Parallel()
	path := write(t, "1 8 a\n")
	s := New("/m", "/d", path)
	before, err := s.Stamp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if same, err := s.Stamp(t.Context()); same != before || err != nil {
		t.Error(before, same, err)
	}
	if err := os.WriteFile(path, []byte("1 8 bb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, err := s.Stamp(t.Context()); after == before || err != nil {
		t.Error(before, after, err)
	}
}

func TestSplitAtTheCommaBetweenExistingPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"m", "m,1", "d", "d,", "d,2"} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range [][2]string{
		{path("m"), path("d")}, {path("m,1"), path("d")}, {path("m"), path("d,2")}, {path("m,1"), path("d,2")}, {path("m,1"), path("d,")},
		{path("gone"), path("gone")}, {path("m,gone"), path("gone")},
	} {
		arg := c[0] + "," + c[1]
		metadata, data, err := Split(arg)
		if err != nil || metadata != c[0] || data != c[1] {
			t.Errorf("%s: %s and %s, %v", arg, metadata, data, err)
		}
	}
	for _, arg := range []string{"", ",", path("m"), path("m") + ",", "," + path("d")} {
		if _, _, err := Split(arg); err == nil {
			t.Errorf("%q is split", arg)
		}
	}
}

// No name in any file of names leads out of its folder.
func FuzzNames(f *testing.F) {
	f.Add("# names\n1 8 a\n\n2 8 b # two\n3 8 vg/root")
	f.Add("1 8 ../..\n1 8 .\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "names")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		volumes, err := readNames(path, "pool")
		if err != nil && volumes != nil {
			t.Error("both names and an error")
		}
		for _, v := range volumes {
			if v.DeviceID >= 1<<24 || v.SizeBytes <= 0 || v.SizeBytes%512 != 0 || filepath.Clean("/x/"+v.Name) != "/x/"+v.Name {
				t.Errorf("%+v", v)
			}
		}
	})
}
