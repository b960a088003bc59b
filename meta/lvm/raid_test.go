package lvm

import (
	"errors"
	"os"
	"strings"
	"testing"

	"thintree/thin/block"
)

// leg is a leg of a raid1 that is made for a test.
type leg struct {
	superblock raidSuperblock
	level      uint32 // 1 if it is 0
	incompat   uint32
	status     string // of the data, beside READ and WRITE
	none       bool   // it has no superblock
	missing    bool   // its disk is missing
}

const whole = 1<<64 - 1 // the DiskRecoveryOffset of a leg that is whole

func (l leg) sector(position, legs int) []byte {
	p := make([]byte, labelSize)
	if l.none {
		return p
	}
	sb := l.superblock
	le.PutUint32(p, dmRAIDMagic)
	le.PutUint32(p[4:], 1)
	le.PutUint32(p[8:], uint32(legs))
	le.PutUint32(p[12:], uint32(position))
	le.PutUint64(p[16:], sb.Events)
	le.PutUint64(p[24:], sb.FailedDevices)
	le.PutUint64(p[32:], sb.DiskRecoveryOffset)
	le.PutUint64(p[40:], whole)
	le.PutUint32(p[48:], max(l.level, 1))
	if sb.Reshaping {
		le.PutUint32(p[60:], 1)
	}
	le.PutUint32(p[144:], l.incompat)
	return p
}

// writeRAID makes the disks of a raid1 "vg/r" of 3 extents. The leg with the number n has its
// superblock in extent 0, and its data from extent 10·n on.
func writeRAID(t testing.TB, legs ...leg) (paths []string) {
	t.Helper()
	var names []string
	var parts strings.Builder
	for i, l := range legs {
		n := string(rune('0' + i))
		names = append(names, `"r_rmeta_`+n+`", "r_rimage_`+n+`"`)
		disk := "pv" + string(rune('1'+i))
		parts.WriteString(hidden("r_rmeta_"+n, linear(0, 1, disk, 0)) + lvWith("r_rimage_"+n, `"READ", "WRITE"`+l.status, linear(0, 3, disk, 10*i)))
	}
	text := group(1, len(legs), lv("r", segment(3, "raid1", "device_count = "+string(rune('0'+len(legs)))+" raids = ["+strings.Join(names, ", ")+"]")), parts.String())
	for i, l := range legs {
		path := simple(i+1, text).write(t)
		writeAt(t, path, peStart*512, l.sector(i, len(legs)))
		if l.missing {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			path = ""
		}
		paths = append(paths, path)
	}
	return paths
}

func writeAt(t testing.TB, path string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(p, off)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func good(events uint64) leg {
	return leg{superblock: raidSuperblock{Events: events, DiskRecoveryOffset: whole}}
}

func with(l leg, change func(*leg)) leg {
	change(&l)
	return l
}

func TestRAID1IsTheCopyThatIsSureToBeRight(t *testing.T) {
	t.Parallel()
	none := func(l *leg) { l.none = true }
	for name, c := range map[string]struct {
		legs []leg
		want int // -1 if none is
		why  string
	}{
		"both":            {[]leg{good(5), good(5)}, 0, ""},
		"the newer":       {[]leg{good(5), good(7)}, 1, ""},
		"no superblock":   {[]leg{with(good(5), none), good(5)}, 1, ""},
		"none":            {[]leg{with(good(5), none), with(good(5), none)}, -1, "it was never active"},
		"failed":          {[]leg{good(5), with(good(5), func(l *leg) { l.superblock.FailedDevices = 1 })}, 1, ""},
		"failed long ago": {[]leg{good(7), with(good(5), func(l *leg) { l.superblock.FailedDevices = 1 })}, 0, ""},
		"recovering":      {[]leg{with(good(5), func(l *leg) { l.superblock.DiskRecoveryOffset = 4096 }), good(5)}, 1, ""},
		"only recovering": {[]leg{with(good(7), func(l *leg) { l.superblock.DiskRecoveryOffset = 4096 }), good(5)}, -1, "r_rimage_1: it is old: 5 changes, others have seen 7"},
		"rebuild":         {[]leg{with(good(5), func(l *leg) { l.status = `, "REBUILD"` }), good(5)}, 1, ""},
		"write mostly":    {[]leg{with(good(5), func(l *leg) { l.status = `, "WRITEMOSTLY"` }), good(5), good(5)}, 1, ""},
		"all mostly":      {[]leg{with(good(5), func(l *leg) { l.status = `, "WRITEMOSTLY"` }), good(4)}, 0, ""},
		"a missing disk":  {[]leg{with(good(5), func(l *leg) { l.missing = true }), good(5)}, 1, ""},
		"both reshaping":  {[]leg{with(good(5), func(l *leg) { l.superblock.Reshaping = true }), with(good(5), func(l *leg) { l.superblock.Reshaping = true })}, -1, "layout is being changed"},
		"another level":   {[]leg{with(good(5), func(l *leg) { l.level = 5 }), good(5)}, 1, ""},
		"features":        {[]leg{with(good(5), func(l *leg) { l.incompat = 1 }), with(good(5), func(l *leg) { l.incompat = 1 })}, -1, "needs a newer thintree"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paths := writeRAID(t, c.legs...)
			var there []string
			for _, p := range paths {
				if p != "" {
					there = append(there, p)
				}
			}
			cat, err := New(there...).Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			v := volume(t, cat, "vg/r")
			if c.want < 0 {
				if v.Lost == nil || !strings.Contains(v.Lost.Error(), c.why) || !v.Plain.IsNowhere() || v.Kind != "raid1" {
					t.Errorf("%+v", v)
				}
				return
			}
			at := linearAt(t, piece(paths[c.want], int64(10*c.want), 3))
			if want := linearAt(t, block.Piece{In: at, Length: 3 * extentBytes}); v.Lost != nil || !v.Plain.Equal(want) || v.Kind != "raid1" {
				t.Errorf("%s, lost %v; want %s", v.Plain, v.Lost, want)
			}
		})
	}
}

func TestSuperblockOfAnotherCopyIsNotBelieved(t *testing.T) {
	t.Parallel()
	paths := writeRAID(t, good(5), good(5))
	writeAt(t, paths[0], peStart*512, good(9).sector(1, 2))
	cat, err := New(paths...).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v := volume(t, cat, "vg/r"); v.Lost != nil || v.Plain.Paths()[0] != paths[1] {
		t.Errorf("%+v", v)
	}
}

// The metadata do not change if the kernel gives up a leg.
func TestStampChangesIfALegFails(t *testing.T) {
	t.Parallel()
	paths := writeRAID(t, good(5), good(5))
	s := New(paths...)
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := stamp(t, s)
	writeAt(t, paths[1], peStart*512, with(good(6), func(l *leg) { l.superblock.FailedDevices = 1 }).sector(1, 2))
	if stamp(t, s) == before {
		t.Error("the stamp is the same")
	}
}

func TestPoolOnRAID1IsTheRightCopy(t *testing.T) {
	t.Parallel()
	mirrored := func(name string, extent int) string {
		r := func(part string) string { return name + "_" + part }
		return hidden(name, segment(2, "raid1", `device_count = 2 raids = ["`+r("rmeta_0")+`", "`+r("rimage_0")+`", "`+r("rmeta_1")+`", "`+r("rimage_1")+`"]`)) +
			hidden(r("rmeta_0"), linear(0, 1, "pv1", extent)) + hidden(r("rimage_0"), linear(0, 2, "pv1", extent+1)) +
			hidden(r("rmeta_1"), linear(0, 1, "pv2", extent)) + hidden(r("rimage_1"), linear(0, 2, "pv2", extent+1))
	}
	text := group(1, 2, poolVolumes, mirrored("pool_tmeta", 0), mirrored("pool_tdata", 10), thin("a", 1, ""))
	paths := []string{simple(1, text).write(t), simple(2, text).write(t)}
	for _, extent := range []int64{0, 10} {
		for i, path := range paths {
			writeAt(t, path, peStart*512+extent*extentBytes, good(uint64(5+i)).sector(i, 2)) // the second is newer
		}
	}
	c := load(t, paths...)
	if len(c.Pools) != 1 || volume(t, c, "vg/a").Pool != "vg/pool" {
		t.Fatalf("%+v", c)
	}
	for at, extent := range map[*block.Location]int64{&c.Pools[0].Metadata: 1, &c.Pools[0].Data: 11} {
		if want := linearAt(t, block.Piece{In: linearAt(t, piece(paths[1], extent, 2)), Length: 2 * extentBytes}); !at.Equal(want) {
			t.Errorf("%s instead of %s", at, want)
		}
	}
}
