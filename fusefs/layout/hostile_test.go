package layout

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"thintree/meta"
)

// oddName is a name of which Escape changes most. No two are equal.
func oddName(i int) string {
	switch i % 4 {
	case 0:
		return fmt.Sprintf("line\n%d", i)
	case 1:
		return fmt.Sprintf("\xff\xfe%d", i)
	case 2:
		return fmt.Sprintf("50%%25 %d\x7f", i)
	}
	return fmt.Sprintf("%d ", i)
}

// TestMillionNamesInAFolderTakeMemoryInProportion has no other tests beside it, because it measures
// the memory of the whole process.
func TestMillionNamesInAFolderTakeMemoryInProportion(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a gigabyte of memory")
	}
	const volumes, containers = 1000, 1000000
	s := many(volumes, oddName)
	for i := range containers {
		s.Catalog.Containers = append(s.Catalog.Containers, meta.Container{ID: fmt.Sprint(i), Name: oddName(i), Volume: oddName(i % volumes)})
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, began := heap(), time.Now()
	l, _ := lay(nil, s)
	took := time.Since(began)
	each := (heap() - before) / (volumes + containers)
	t.Logf("%d names: %v, and %d bytes for each", volumes+containers, took, each)
	if each > 1024 {
		t.Errorf("the layout takes %d bytes for each name", each)
	}
	if n := len(l.Find("containers").After(0)); n != containers {
		t.Errorf("%d containers are shown, not %d", n, containers)
	}
}

// unusual are names that are hard to show.
var unusual = []string{
	"", ".", "..", "/", "a/", "//", "a\nb", "a\rb", "\x1b[2J", "\x00", "\x7f", "\u0085", "\xff", "a\xc3", "\xed\xa0\x80", "%", "%2F", "%%41",
	"a", "a/b", "a/b/c", "A", "ä", "a\u0308", strings.Repeat("x", 230), strings.Repeat("x", 231), strings.Repeat("y", 255), strings.Repeat("z", 256),
	strings.Repeat("ü%", 700), strings.Repeat("/", 300), strings.Repeat("d/", 500) + "e",
}

func TestUnusualNamesAreShownAndCanBeRead(t *testing.T) {
	t.Parallel()
	s := many(len(unusual), func(i int) string { return unusual[i] })
	l, _ := lay(nil, s)
	shown := make(map[string]uint32)
	for _, v := range l.Volumes() {
		if !validName(v.Name()) || l.Find("volumes/"+v.Name()).Volume != v {
			t.Errorf("%q is no path in volumes/", v.Name())
		}
		// A volume named like a folder has its id behind an @.
		name := strings.TrimSuffix(v.Name(), fmt.Sprint("@", v.Record.DeviceID))
		shown[Unescape(name)] = v.Record.DeviceID
	}
	for id, name := range unusual {
		if got, ok := shown[name]; !ok || got != uint32(id) {
			t.Errorf("%.40q is not shown", name)
		}
	}
}

// TestNamesThatLookLikeEscapedOnesAreApart: Escape turns no two names into one.
func TestNamesThatLookLikeEscapedOnesAreApart(t *testing.T) {
	t.Parallel()
	var names []string
	for _, name := range unusual {
		names = append(names, name)
		if escaped := Escape(name); escaped != name {
			names = append(names, escaped, Escape(escaped))
		}
	}
	paths := make(map[string]string)
	for _, name := range names {
		if other, taken := paths[Escape(name)]; taken && other != name {
			t.Errorf("%.40q and %.40q are both %.40q", name, other, Escape(name))
		}
		paths[Escape(name)] = name
	}
}

// The time for a folder is in proportion to the length of its path, so that a name of a MiB with
// many slashes would take minutes.
func TestNamesThatAreTooLongForAPathAreNotShown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("a/", 1<<19) + "a", strings.Repeat("x", 1<<20), strings.Repeat("\n", 4000)} {
		s := sourceOf(meta.Catalog{
			Volumes:    []meta.Volume{volumeOf(name, 1), volumeOf("v", 2)},
			Containers: []meta.Container{{ID: "c", Name: name, Volume: "v"}},
			Images:     []meta.Image{{ID: "i", Names: []string{name, "short"}, Volume: "v"}},
		})
		l, _ := lay(nil, s)
		for _, path := range paths(l) {
			if path, _, _ := strings.Cut(path, " -> "); len(path) > maxPath {
				t.Errorf("%.40q…: a path of %d bytes", name, len(path))
			}
		}
		for _, path := range []string{"volumes/@1", "by-id/pool/1", "volumes/v", "images/short"} {
			if l.Find(path) == nil {
				t.Errorf("%.40q…: there is no %s", name, path)
			}
		}
	}
}
