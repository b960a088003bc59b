package lvm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/thin/block"
)

func piece(path string, extent, count int64) block.Piece {
	return block.Piece{In: block.At(path), Offset: peStart*512 + extent*extentBytes, Length: count * extentBytes}
}

func striped(t testing.TB, bytes int64, list ...block.Piece) block.Location {
	t.Helper()
	l, err := block.Striped(bytes, list...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPlainVolumesLieInTheirSegments(t *testing.T) {
	t.Parallel()
	c, disk := loadText(t, group(1, 2,
		lv("one", linear(0, 5, "pv1", 3)),
		// The second segment follows the first on the disk.
		lv("joined", linear(0, 5, "pv1", 10), linear(5, 2, "pv1", 15), linear(7, 1, "pv2", 0)),
		// Segments need not be in order in the text.
		lv("turned", linear(2, 2, "pv2", 1), linear(0, 2, "pv1", 20)),
		lv("stripes", segment(4, "striped", `stripe_count = 2 stripe_size = 128 stripes = [ "pv1", 30, "pv2", 30 ]`)),
		lv("mixed", segment(4, "striped", `stripe_count = 2 stripe_size = 16 stripes = [ "pv1", 34, "pv2", 34 ]`), linear(4, 1, "pv2", 40)),
		lv("inner", linear(0, 4, "part", 1)),
		hidden("part", linear(0, 5, "pv2", 41)),
		lv("zeros", segment(2, "raid0", `stripe_count = 2 stripe_size = 128 raid0_lvs = [ "z_rimage_0", "z_rimage_1" ]`)),
		lv("meta", segment(2, "raid0_meta", `stripe_count = 2 stripe_size = 128 raids = [ "m0", "z_rimage_0", "m1", "z_rimage_1" ]`)),
		hidden("z_rimage_0", linear(0, 1, "pv1", 48)), hidden("z_rimage_1", linear(0, 1, "pv2", 48)),
	), 2)
	for name, want := range map[string]struct {
		kind    string
		extents int64
		at      block.Location
	}{
		"one":     {"linear", 5, linearAt(t, piece(disk[0], 3, 5))},
		"joined":  {"linear", 8, linearAt(t, piece(disk[0], 10, 7), piece(disk[1], 0, 1))},
		"turned":  {"linear", 4, linearAt(t, piece(disk[0], 20, 2), piece(disk[1], 1, 2))},
		"stripes": {"striped", 4, striped(t, 64<<10, piece(disk[0], 30, 2), piece(disk[1], 30, 2))},
		"mixed": {"striped", 5, linearAt(t,
			block.Piece{In: striped(t, 8<<10, piece(disk[0], 34, 2), piece(disk[1], 34, 2)), Length: 4 * extentBytes}, piece(disk[1], 40, 1))},
		"inner": {"linear", 4, linearAt(t, block.Piece{In: linearAt(t, piece(disk[1], 41, 5)), Offset: extentBytes, Length: 4 * extentBytes})},
		"zeros": {"raid0", 2, striped(t, 64<<10,
			block.Piece{In: linearAt(t, piece(disk[0], 48, 1)), Length: extentBytes}, block.Piece{In: linearAt(t, piece(disk[1], 48, 1)), Length: extentBytes})},
	} {
		v := volume(t, c, "vg/"+name)
		if v.Lost != nil || !v.Plain.Equal(want.at) || v.SizeBytes != want.extents*extentBytes || v.Kind != want.kind {
			t.Errorf("%s: %s, %d bytes, lost %v\n%s, want\n%s", name, v.Kind, v.SizeBytes, v.Lost, v.Plain, want.at)
		}
	}
	if a, b := volume(t, c, "vg/zeros"), volume(t, c, "vg/meta"); !a.Plain.Equal(b.Plain) || b.Kind != "raid0_meta" {
		t.Errorf("raid0_meta lies at %s", b.Plain)
	}
	if len(c.Volumes) != 8 || len(c.Warnings) > 0 {
		t.Errorf("%d volumes, warnings %v", len(c.Volumes), c.Warnings)
	}
}

func TestVolumesHaveWhatTheirRecordSays(t *testing.T) {
	t.Parallel()
	text := group(1, 1, strings.Replace(lv("tagged", linear(0, 1, "pv1", 0)), "flags = []", `flags = ["ACTIVATION_SKIP", "FROM_THE_FUTURE"] tags = ["a", "b/c"]`, 1))
	c, disks := loadText(t, text, 1)
	v := volume(t, c, "vg/tagged")
	if diff := cmp.Diff([]string{"a", "b/c"}, v.Tags); diff != "" || v.Host != "maker" || v.Created.Unix() != 1600000000 || v.UUID != lvID || v.Record != disks[0] || v.Role != meta.RoleVolume {
		t.Errorf("%+v", v)
	}
}

func TestVolumesThatCannotBeReadAreListedWithTheReason(t *testing.T) {
	t.Parallel()
	one := linear(0, 1, "pv1", 0)
	cases := map[string]struct{ record, kind, why string }{
		"raid5":         {lv("x", segment(2, "raid5_ls", "device_count = 3")), "raid5_ls", "spread over disks with their parity"},
		"raid10":        {lv("x", segment(2, "raid10", "device_count = 4")), "raid10", "spread over disks"},
		"mirror":        {lv("x", segment(2, "mirror", "mirror_count = 2")), "mirror", "only known while it is active"},
		"cache":         {lv("x", segment(2, "cache+CACHE_USES_CACHEVOL", "")), "cache", "newest blocks may be in the cache"},
		"writecache":    {lv("x", segment(2, "writecache", "")), "writecache", "newest blocks may be in the cache"},
		"integrity":     {lv("x", segment(2, "integrity", "")), "integrity", "in the journal"},
		"vdo":           {lv("x", segment(2, "vdo", "")), "vdo", "VDO"},
		"error":         {lv("x", segment(2, "error", "")), "error", "it has no bytes"},
		"zero":          {lv("x", segment(2, "zero", "")), "zero", "it has no bytes"},
		"unknown type":  {lv("x", segment(2, "quantum", "")), "quantum", "needs a newer thintree"},
		"raid50":        {lv("x", segment(2, "raid50", "")), "raid50", "needs a newer thintree"},
		"unknown flag":  {lv("x", segment(1, "striped+NEW", `stripe_count = 1 stripes = ["pv1", 0]`)), "linear", "striped+NEW: a flag that is not known"},
		"status":        {lvWith("x", `"VISIBLE", "NEW"`, one), "", `the status flag "NEW" is not known`},
		"reshaped":      {lv("x", segment(1, "raid0+RESHAPE", `stripe_count = 1 raid0_lvs = ["p"]`)+hidden("p", one)), "raid0", "layout is being changed"},
		"no segment":    {lv("x"), "", "0 segments"},
		"a gap":         {lv("x", linear(1, 1, "pv1", 0)), "", "instead of from extent 0 on"},
		"an overlap":    {lv("x", linear(0, 2, "pv1", 0), linear(1, 2, "pv1", 4)), "", "instead of from extent 2 on"},
		"empty":         {lv("x", linear(0, 0, "pv1", 0)), "", "0 extents"},
		"nowhere":       {lv("x", linear(0, 1, "pv9", 0)), "linear", `no volume "pv9"`},
		"too far":       {lv("x", linear(0, 1, "pv1", 50)), "linear", "it ends at extent 51 of pv1, which has 50"},
		"far in one":    {lv("x", linear(0, 1, "y", 1)) + hidden("y", one), "linear", "1 extents from extent 1 on of y, which has 1"},
		"odd stripes":   {lv("x", segment(3, "striped", `stripe_count = 2 stripe_size = 8 stripes = ["pv1", 0, "pv1", 4]`)), "striped", "3 extents cannot be spread over 2"},
		"stripe size":   {lv("x", segment(2, "striped", `stripe_count = 2 stripe_size = 24 stripes = ["pv1", 0, "pv1", 4]`)), "striped", "whole stripes"},
		"no size":       {lv("x", segment(2, "striped", `stripe_count = 2 stripes = ["pv1", 0, "pv1", 4]`)), "", `"stripe_size" is missing`},
		"a size of 0":   {lv("x", segment(2, "striped", `stripe_count = 2 stripe_size = 0 stripes = ["pv1", 0, "pv1", 4]`)), "", "stripes of 0 sectors"},
		"count":         {lv("x", segment(2, "striped", `stripe_count = 3 stripe_size = 8 stripes = ["pv1", 0, "pv1", 4]`)), "", "2 stripes, stripe_count is 3"},
		"raid count":    {lv("x", segment(2, "raid1", `device_count = 2 raids = ["a", "b"]`)), "", "2 names in raids, device_count is 2"},
		"itself":        {lv("x", linear(0, 1, "x", 0)), "linear", "it is a part of itself"},
		"a cycle":       {lv("x", linear(0, 1, "y", 0)) + hidden("y", linear(0, 1, "x", 0)), "linear", "it is a part of itself"},
		"huge":          {lv("x", segment(1, "striped", `stripe_count = 1 stripes = ["pv1", 4294967295]`)), "linear", "it ends at extent 4294967296"},
		"a value":       {"x = 1\n", "", "a value, not a section"},
		"damaged part":  {lv("x", linear(0, 1, "y", 0)) + hidden("y"), "linear", "y: 0 segments"},
		"no pool":       {lv("x", segment(1, "thin", `thin_pool = "p" transaction_id = 0 device_id = 1`)), "thin", `no thin pool "p"`},
		"id":            {lv("x", segment(1, "thin", `thin_pool = "p" transaction_id = 0 device_id = 16777216`)), "", "device_id 16777216 is higher"},
		"pvmove":        {lv("x", linear(0, 1, "pvmove0", 0)) + lvWith("pvmove0", `"PVMOVE", "LOCKED"`, segment(1, "mirror", "")), "linear", "pvmove is copying its extents"},
		"thin in thick": {lv("x", linear(0, 1, "y", 0)) + hidden("y", segment(1, "thin", `thin_pool = "p" transaction_id = 0 device_id = 1`)), "linear", "no place for other volumes"},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := loadText(t, group(1, 1, tt.record, lv("good", linear(0, 1, "pv1", 9))), 1)
			v := volume(t, c, "vg/x")
			if v.Lost == nil || !strings.Contains(v.Lost.Error(), tt.why) || !strings.HasPrefix(v.Lost.Error(), "vg/x: ") || !errors.As(v.Lost, new(*LostError)) {
				t.Errorf("lost: %v", v.Lost)
			}
			if v.Kind != tt.kind || v.Pool != "" || !v.Plain.IsNowhere() {
				t.Errorf("%+v", v)
			}
			if good := volume(t, c, "vg/good"); good.Lost != nil {
				t.Errorf("another volume is lost too: %v", good.Lost)
			}
		})
	}
}

func TestVolumesLieInEachOtherOnlyToADepth(t *testing.T) {
	t.Parallel()
	for _, n := range []int{7, 8, 50, 2000} {
		volumes := []string{lv("v0", linear(0, 1, "pv1", 0))}
		for i := 1; i <= n; i++ {
			volumes = append(volumes, lv(fmt.Sprintf("v%d", i), linear(0, 1, fmt.Sprintf("v%d", i-1), 0)))
		}
		slices.Reverse(volumes)
		c, _ := loadText(t, group(1, 1, volumes...), 1)
		if v := volume(t, c, fmt.Sprintf("vg/v%d", n)); (v.Lost == nil) != (n < 8) {
			t.Errorf("%d volumes in each other: %v", n, v.Lost)
		}
	}
}

const poolVolumes = `"pool" { id = "abcdef-ghij-klmn-opqr-stuv-wxyz-012345" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
segment1 { start_extent = 0 extent_count = 4 type = "thin-pool+CROP_METADATA" metadata = "pool_tmeta" pool = "pool_tdata" transaction_id = 9 chunk_size = 128
message1 { create = "new" } message2 { delete = 7 } } }
`

func thin(name string, id int, more string) string {
	return lv(name, segment(2, "thin", fmt.Sprintf(`thin_pool = "pool" transaction_id = %d device_id = %d %s`, id+1, id, more)))
}

func TestThinVolumesAreDevicesOfTheirPool(t *testing.T) {
	t.Parallel()
	text := group(1, 2, poolVolumes, hidden("pool_tmeta", linear(0, 1, "pv1", 0)),
		hidden("pool_tdata", segment(4, "striped", `stripe_count = 2 stripe_size = 128 stripes = ["pv1", 1, "pv2", 1]`)),
		thin("a", 1, ""), thin("snap", 2, `origin = "a"`), thin("new", 3, ""), thin("out", 4, `external_origin = "thick"`),
		lv("thick", linear(0, 2, "pv2", 10)), thin("back", 5, `origin = "a" merge = "a"`))
	c, disk := loadText(t, text, 2)
	want := []meta.Pool{{
		Name: "vg/pool", Device: "vg-pool-tpool", TransactionID: 9, Metadata: linearAt(t, piece(disk[0], 0, 1)),
		Data: striped(t, 64<<10, piece(disk[0], 1, 2), piece(disk[1], 1, 2)),
	}}
	if diff := cmp.Diff(want, c.Pools); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]meta.Volume{
		"a": {DeviceID: 1}, "snap": {DeviceID: 2, Parent: "vg/a"}, "new": {DeviceID: 3, State: meta.StateHalf},
		"out": {DeviceID: 4, ExternalOrigin: "vg/thick"}, "back": {DeviceID: 5, Parent: "vg/a"},
	} {
		v := volume(t, c, "vg/"+name)
		if v.Lost != nil || v.Pool != "vg/pool" || v.DeviceID != want.DeviceID || v.TransactionID != uint64(want.DeviceID)+2 || v.Parent != want.Parent ||
			v.State != want.State || v.ExternalOrigin != want.ExternalOrigin || v.Kind != "thin" || v.SizeBytes != 2*extentBytes {
			t.Errorf("%+v", v)
		}
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Error(), `vg/a: the snapshot "back" will take its place`) {
		t.Errorf("%v", c.Warnings)
	}
	if len(c.Volumes) != 6 {
		t.Errorf("%d volumes", len(c.Volumes))
	}
}

func TestVolumesOfAPoolThatCannotBeReadAreLost(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ volumes, why string }{
		"raid5 data": {poolVolumes + hidden("pool_tmeta", linear(0, 1, "pv1", 0)) + hidden("pool_tdata", segment(4, "raid5_ls", "")), "pool_tdata: raid5_ls"},
		"cache data": {poolVolumes + hidden("pool_tmeta", linear(0, 1, "pv1", 0)) + hidden("pool_tdata", segment(4, "cache", "")), "pool_tdata: cache"},
		"no tmeta":   {poolVolumes + hidden("pool_tdata", linear(0, 1, "pv1", 0)), `no volume "pool_tmeta"`},
		"a flag": {strings.Replace(poolVolumes, "CROP", "COMPRESS", 1) + hidden("pool_tmeta", linear(0, 1, "pv1", 0)) + hidden("pool_tdata", linear(0, 1, "pv1", 1)),
			"thin-pool+COMPRESS_METADATA: a flag that is not known"},
	} {
		c, _ := loadText(t, group(1, 1, tt.volumes, thin("a", 1, "")), 1)
		v := volume(t, c, "vg/a")
		if v.Lost == nil || !strings.Contains(v.Lost.Error(), tt.why) || v.Pool != "" || len(c.Pools) != 0 || v.Kind != "thin" {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestSnapshotsOfThickVolumesAreLostAndTheirOriginsAreNot(t *testing.T) {
	t.Parallel()
	c, _ := loadText(t, group(1, 1,
		lv("root", linear(0, 2, "pv1", 0)), hidden("snap", linear(0, 1, "pv1", 2)),
		lv("snapshot0", segment(2, "snapshot", `chunk_size = 8 origin = "root" cow_store = "snap"`)),
		lv("home", linear(0, 2, "pv1", 4)), hidden("back", linear(0, 1, "pv1", 6)),
		hidden("snapshot1", segment(2, "snapshot", `chunk_size = 8 origin = "home" merging_store = "back"`))), 1)
	if v := volume(t, c, "vg/root"); v.Lost != nil || v.Plain.IsNowhere() {
		t.Errorf("%+v", v)
	}
	if v := volume(t, c, "vg/snap"); v.Lost == nil || v.Kind != "snapshot" || v.Parent != "vg/root" || !v.Plain.IsNowhere() {
		t.Errorf("%+v", v)
	}
	if v := volume(t, c, "vg/home"); v.Lost == nil || !strings.Contains(v.Lost.Error(), `the snapshot "back" is being merged into it`) {
		t.Errorf("%+v", v)
	}
	if len(c.Volumes) != 3 {
		t.Errorf("%d volumes", len(c.Volumes))
	}
}

func TestDeviceNamesHaveTheirHyphensDoubled(t *testing.T) {
	t.Parallel()
	if got := deviceName("my-vg", "a--b", "tpool"); got != "my--vg-a----b-tpool" {
		t.Error(got)
	}
}
