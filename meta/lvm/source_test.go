package lvm

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/thin/block"
)

func stamp(t testing.TB, s meta.Source) string {
	t.Helper()
	text, err := s.Stamp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func load(t testing.TB, paths ...string) *meta.Catalog {
	t.Helper()
	c, err := New(paths...).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// warns checks that there is one warning for each text, and no other.
func warns(t testing.TB, c *meta.Catalog, texts ...string) {
	t.Helper()
	ok := len(texts) == len(c.Warnings)
	for i := 0; ok && i < len(texts); i++ {
		ok = slices.ContainsFunc(c.Warnings, func(err error) bool { return strings.Contains(err.Error(), texts[i]) })
	}
	if !ok {
		t.Errorf("warnings: %q, want %q", c.Warnings, texts)
	}
}

var someVolume = lv("a", linear(0, 1, "pv1", 0))

func TestNewestMetadataCount(t *testing.T) {
	t.Parallel()
	old, now := group(4, 2, lv("old", linear(0, 1, "pv1", 0))), group(5, 2, lv("now", linear(0, 1, "pv1", 0)))
	d := simple(1, old)
	d.areas = append(d.areas, mda{at: 2 << 20, size: 64 << 10, text: now}) // at the end of a disk, in real life
	c := load(t, d.write(t), simple(2, old).write(t))
	if len(c.Volumes) != 1 || c.Volumes[0].Name != "vg/now" {
		t.Errorf("%+v", c.Volumes)
	}
	warns(t, c, pvID(1)+": the metadata of group \"vg\" are older", pvID(2)+": the metadata of group \"vg\" are older")
}

func TestTextMayGoOnAtTheBeginningOfItsArea(t *testing.T) {
	t.Parallel()
	d := simple(1, group(1, 1, someVolume))
	d.areas[0].size = 8192
	d.areas[0].offset = 8192 - 512
	if c := load(t, d.write(t)); len(c.Volumes) != 1 || len(c.Warnings) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestIgnoredAreasAndEmptyOnesDoNotCount(t *testing.T) {
	t.Parallel()
	d := simple(1, group(9, 1, lv("old", linear(0, 1, "pv1", 0))))
	d.areas[0].flags = rawLocnIgnored
	d.areas = append(d.areas, mda{at: 2 << 20, size: 64 << 10}, mda{at: 3 << 20, size: 64 << 10, text: group(5, 1, someVolume)})
	if c := load(t, d.write(t)); len(c.Volumes) != 1 || c.Volumes[0].Name != "vg/a" || len(c.Warnings) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestDamagedMetadataAreAWarningIfThereAreOthers(t *testing.T) {
	t.Parallel()
	text := group(5, 1, someVolume)
	for name, tt := range map[string]struct {
		at   int64
		byte string
		why  string
	}{
		"the text":   {4096 + 512 + 20, "!", "the text at byte 512 of the area has the checksum"},
		"the header": {4096 + 60, "!", "the header has the checksum"},
		"the magic":  {4096 + 4, "!", "the header has the checksum"},
	} {
		d := simple(1, text)
		d.areas = append(d.areas, mda{at: 2 << 20, size: 64 << 10, text: text})
		path := d.write(t)
		writeAt(t, path, tt.at, []byte(tt.byte))
		c := load(t, path)
		if len(c.Volumes) != 1 {
			t.Errorf("%s: %+v", name, c.Volumes)
		}
		warns(t, c, "metadata area at byte 4096: "+tt.why)

		path = simple(1, text).write(t)
		writeAt(t, path, tt.at, []byte(tt.byte))
		if _, err := New(path).Load(t.Context()); err == nil || !strings.Contains(err.Error(), tt.why) || !errors.As(err, new(*NoGroupError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A group that is not understood must not be shown as it was before.
func TestNewestMetadataCountAlsoIfTheyAreNotUnderstood(t *testing.T) {
	t.Parallel()
	strange := strings.Replace(group(6, 1, someVolume), `"RESIZEABLE"`, `"QUANTUM"`, 1)
	d := simple(1, strange)
	d.areas = append(d.areas, mda{at: 2 << 20, size: 64 << 10, text: group(5, 1, someVolume)})
	_, err := New(d.write(t)).Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), `the status flag "QUANTUM" is not known`) {
		t.Error(err)
	}
}

func TestTwoStatesOfAGroupAreAnError(t *testing.T) {
	t.Parallel()
	_, err := New(simple(1, group(5, 2, someVolume)).write(t), simple(2, group(5, 2)).write(t)).Load(t.Context())
	if !errors.Is(err, errForked) {
		t.Error(err)
	}
}

func TestVolumesOfMissingDisksAreLost(t *testing.T) {
	t.Parallel()
	text := group(5, 2, someVolume, lv("b", linear(0, 1, "pv2", 0)))
	c := load(t, simple(1, text).write(t))
	if v := volume(t, c, "vg/a"); v.Lost != nil {
		t.Error(v.Lost)
	}
	v := volume(t, c, "vg/b")
	var missing *MissingError
	if !errors.As(v.Lost, &missing) || missing.ID != dashed(pvID(2)) || v.Lost.Error() != "vg/b: it needs the disk with the id "+dashed(pvID(2))+", last seen as /dev/sdb" {
		t.Error(v.Lost)
	}
	warns(t, c, `group "vg" is not whole: it needs the disk`)
}

// What is on a disk that was missing for some time may be old.
func TestDiskThatCountsAsMissingIsNotRead(t *testing.T) {
	t.Parallel()
	text := strings.Replace(group(5, 1, someVolume), `status = ["ALLOCATABLE"] flags = []`, `status = ["ALLOCATABLE"] flags = ["MISSING"]`, 1)
	c := load(t, simple(1, text).write(t))
	var missing *MissingError
	if v := volume(t, c, "vg/a"); !errors.As(v.Lost, &missing) || !missing.Stale {
		t.Error(v.Lost)
	}
	warns(t, c, "counts the disk")
}

func TestDisksWithoutAreasArePartOfTheirGroup(t *testing.T) {
	t.Parallel()
	bare := disk{id: pvID(2), size: 64 * extentBytes, used: true}
	path := bare.write(t)
	c := load(t, simple(1, group(5, 2, lv("b", linear(0, 1, "pv2", 0)))).write(t), path)
	if v := volume(t, c, "vg/b"); v.Lost != nil || v.Plain.Paths()[0] != path {
		t.Errorf("%+v", v)
	}
	c = load(t, simple(1, group(5, 1, someVolume)).write(t), path)
	warns(t, c, path+": no metadata of the group that this disk is part of")
}

func TestAllGroupsOfDisksAreShown(t *testing.T) {
	t.Parallel()
	other := strings.NewReplacer("vg {", "other {", "vg0000", "og0000", dashed(pvID(1)), dashed(pvID(2))).Replace(group(5, 1, someVolume))
	c := load(t, simple(1, group(5, 1, someVolume)).write(t), simple(2, other).write(t))
	if len(c.Volumes) != 2 || c.Volumes[0].Name != "other/a" || c.Volumes[1].Name != "vg/a" || len(c.Warnings) > 0 {
		t.Errorf("%+v", c)
	}
	same := strings.Replace(other, "other {", "vg {", 1)
	_, err := New(simple(1, group(5, 1, someVolume)).write(t), simple(2, same).write(t)).Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), `two groups are named "vg"`) {
		t.Error(err)
	}
}

func TestTwoCopiesOfADiskAreAnError(t *testing.T) {
	t.Parallel()
	text := group(5, 1, someVolume)
	a, b := simple(1, text).write(t), simple(1, text).write(t)
	var twice *DuplicateError
	if _, err := New(a, b).Load(t.Context()); !errors.As(err, &twice) || twice.Paths != [2]string{a, b} {
		t.Error(err)
	}
}

func TestErrorsForWhatHasNoGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty, qcow := filepath.Join(dir, "empty"), filepath.Join(dir, "qcow2")
	if err := errors.Join(os.WriteFile(empty, make([]byte, mib), 0o600), os.WriteFile(qcow, append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, mib)...), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := New(empty).Load(t.Context())
	if !errors.As(err, new(*NoGroupError)) || !strings.Contains(err.Error(), "lvm:"+empty+": no volume group of LVM can be found: "+empty+": neither a disk of") {
		t.Error(err)
	}
	if _, err := New(qcow).Load(t.Context()); !errors.As(err, new(*block.FormatError)) {
		t.Error(err)
	}
	if _, err := New(filepath.Join(dir, "none")).Load(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := New(dir).Load(t.Context()); err == nil {
		t.Error("a folder is a disk")
	}
	good := simple(1, group(5, 1, someVolume)).write(t)
	warns(t, load(t, good, filepath.Join(dir, "none"), empty), "none: no such file", "empty: neither")
}

func TestCutOffDiskIsAWarning(t *testing.T) {
	t.Parallel()
	d := simple(1, group(5, 1, someVolume))
	d.size = 32 * extentBytes
	warns(t, load(t, d.write(t)), "134217728 bytes, but 268435456 by the metadata of group")
}

// mbr is a sector with a partition table of one partition, in 512-byte sectors.
func mbr(kind byte, first, sectors uint32) []byte {
	p := make([]byte, 512)
	e := p[446:]
	e[4] = kind
	le.PutUint32(e[8:], first)
	le.PutUint32(e[12:], sectors)
	copy(p[510:], "\x55\xaa")
	return p
}

func TestPartitionsOfADiskAreLookedAt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, mbr(0x8e, 2048, 64*extentSectors), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 80*extentBytes); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(group(5, 1, someVolume, lv("far", linear(0, 1, "pv1", 70))), "pe_count = 50", "pe_count = 90")
	writeAt(t, path, mib, simple(1, text).bytes())
	c := load(t, path)
	if want := linearAt(t, block.Piece{In: block.At(path), Offset: mib + peStart*512, Length: extentBytes}); !volume(t, c, "vg/a").Plain.Equal(want) {
		t.Errorf("%+v", c.Volumes)
	}
	if v := volume(t, c, "vg/far"); v.Lost == nil || !strings.Contains(v.Lost.Error(), "of a partition") {
		t.Errorf("a volume beyond its partition: %+v", v)
	}
}

func TestDiskWithALabelAndPartitionsIsAnError(t *testing.T) {
	t.Parallel()
	text := group(5, 1, someVolume)
	path := simple(1, text).write(t)
	writeAt(t, path, 0, mbr(0x8e, 2048, 4096))
	if _, err := New(path).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "a label of LVM and a partition table") {
		t.Error(err)
	}
	for name, sector := range map[string][]byte{"no table": make([]byte, 512), "boot code": mbr(0, 0, 0), "a GPT of before": mbr(0xee, 1, 4096)} {
		writeAt(t, path, 0, sector)
		if c := load(t, path); len(c.Volumes) != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestStampChangesWithTheGroup(t *testing.T) {
	t.Parallel()
	d := simple(1, group(5, 1, someVolume))
	path := d.write(t)
	s := New(path)
	before := stamp(t, s)
	load(t, path)
	writeAt(t, path, peStart*512, []byte("what is in a volume does not matter"))
	if again := stamp(t, s); again != before {
		t.Errorf("%s, then %s without a change", before, again)
	}
	change := func(name string, do func()) {
		t.Helper()
		do()
		after, err := s.Stamp(t.Context())
		if err == nil && after == before {
			t.Errorf("%s: the stamp is the same", name)
		}
		before = after
	}
	change("a commit", func() {
		d.areas[0].text, d.areas[0].offset = group(6, 1, someVolume), 8192
		writeAt(t, path, 0, d.bytes())
	})
	change("another label", func() { d.id = pvID(2); writeAt(t, path, 0, d.bytes()) })
	change("no label", func() { writeAt(t, path, 512, make([]byte, 512)) })
	change("no disk", func() { os.Remove(path) })
}

func TestContextEndsLoadAndStamp(t *testing.T) {
	t.Parallel()
	s := New(simple(1, group(5, 1, someVolume)).write(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := s.Stamp(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLoadsAndStampsMayBeAtOnce(t *testing.T) {
	t.Parallel()
	s := New(writeRAID(t, good(5), good(5))...)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if c, err := s.Load(t.Context()); err != nil || len(c.Volumes) != 1 {
				t.Error(c, err)
			}
			if _, err := s.Stamp(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestSourcesAreLeftAsTheyAre(t *testing.T) {
	t.Parallel()
	path := simple(1, group(5, 1, someVolume)).write(t)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s := New(path)
	load(t, path)
	stamp(t, s)
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Sys(), after.Sys(), cmp.AllowUnexported(syscall.Timespec{})); diff != "" {
		t.Error(diff)
	}
}

func TestArgumentsAreDisksOrAGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	comma := filepath.Join(dir, "a,b")
	if err := os.WriteFile(comma, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for argument, want := range map[string][]string{
		"/dev/sda":              {"/dev/sda"},
		"/dev/sda,/dev/sdb":     {"/dev/sda", "/dev/sdb"},
		comma + "," + dir + "/": {comma, dir},
		comma:                   {comma},
		"vg0":                   nil,
	} {
		s, err := System.Open(argument, meta.Options{})
		if err != nil {
			t.Errorf("%s: %v", argument, err)
			continue
		}
		if diff := cmp.Diff(want, s.Places()); diff != "" {
			t.Error(argument, diff)
		}
	}
	for _, argument := range []string{"", ",", "vg0,vg1", "/dev/sda,vg0", "/dev/sda,"} {
		if s, err := System.Open(argument, meta.Options{}); err == nil || !strings.HasPrefix(err.Error(), "lvm:") {
			t.Errorf("%q: %v, %v", argument, s, err)
		}
	}
}

func TestDisksAreRecognised(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{simple(1, group(5, 1)).write(t): true, empty: false, dir: false} {
		if got, err := System.Recognise(t.Context(), path); got != want || err != nil {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}
