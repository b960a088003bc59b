package layout

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"thintree/meta"
)

func TestMirrorsHaveEntriesForAllVolumes(t *testing.T) {
	t.Parallel()
	gone := volumeOf("a", 4)
	gone.State = meta.StateDeleted
	layer := volumeOf("layer", 5)
	layer.Role = meta.RoleLayer
	s := sourceOf(meta.Catalog{Volumes: []meta.Volume{volumeOf("a", 1), volumeOf("a.img/b", 2), volumeOf("a.json/c", 3), gone, layer}})
	s.Pools = []Pool{&fakePool{name: "pool", ids: []uint32{1, 2, 3, 4, 5}}}
	l, _ := lay(nil, s)
	names := func(path string) (list []string) {
		for _, n := range l.Find(path).entries() {
			list = append(list, n.Name)
		}
		return list
	}
	for path, want := range map[string][]string{
		"raw":        {"a.img", "a.img@1", "a.json", "a.parts", "layer.img"},
		"raw/a.img":  {"b.img", "b.parts"},
		"info":       {"a.img", "a.json", "a.json@1", "a.json@4", "layer.json"},
		"info/a.img": {"b.json"},
	} {
		if got := names(path); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
	}
	for path, id := range map[string]uint32{"raw/a.img@1": 1, "info/a.json@1": 1, "info/a.json@4": 4, "raw/a.img/b.parts": 2} {
		if n := l.Find(path); n == nil || n.Volume.Record.DeviceID != id {
			t.Errorf("%s is %+v, want device %d", path, n, id)
		}
	}
	// The listing by cookies and the one by names have the same entries.
	if got := l.Find("raw").After(0); len(got) != 5 {
		t.Errorf("raw lists %d entries", len(got))
	}
}

func TestMirrorThatHasChangedHasAnotherTime(t *testing.T) {
	t.Parallel()
	source := func(volumes ...meta.Volume) Source {
		s := sourceOf(meta.Catalog{Volumes: volumes})
		s.Pools = []Pool{&fakePool{name: "pool", ids: []uint32{1, 2}}}
		return s
	}
	now := int64(0)
	layOut := func(before *Layout, s Source) *Layout {
		now++
		l, changes := Build([]Source{s}, before, Options{Now: time.Unix(now, 0), Log: slog.New(slog.DiscardHandler)})
		for _, v := range changes.Fresh {
			new(Slots[int]).Add(v.Slot, 0)
		}
		return l
	}
	first := layOut(nil, source(volumeOf("g/a", 1), volumeOf("b", 2)))
	second := layOut(first, source(volumeOf("g/a", 1), volumeOf("b", 2)))
	layer := volumeOf("b", 2)
	layer.Role = meta.RoleLayer // it has no partitions
	third := layOut(second, source(volumeOf("g/a", 1), layer))
	for path, changed := range map[string][2]bool{"raw": {false, true}, "raw/g": {false, false}, "info/g": {false, false}, "volumes": {false, false}} {
		a, b, c := first.Find(path).When, second.Find(path).When, third.Find(path).When
		if (a != b) != changed[0] || (b != c) != changed[1] {
			t.Errorf("%s: times %d, %d and %d", path, a, b, c)
		}
	}
}
