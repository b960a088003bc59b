package lvm

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/tests/pools"
	"thintree/thin/block"
)

func TestRealLabelIsRead(t *testing.T) {
	t.Parallel()
	f, err := block.Open(pools.LVM(t), block.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := readLabel(t.Context(), f)
	want := &pvHeader{
		PVUUID: "452H06-uHYu-jnep-yyTU-DM3e-SoZM-MRws8a", DeviceSize: 2 << 30, Used: true,
		DataAreas: []diskLocn{{1 << 20, 0}}, MetadataAreas: []diskLocn{{4096, 1020 << 10}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// signLabel makes the checksum of a label right again.
func signLabel(sector []byte) {
	le.PutUint32(sector[labelCRCXL:], calcCRC(sector[labelOffsetXL:labelSize]))
}

func TestLabelIsInOneOfTheFirstFourSectors(t *testing.T) {
	t.Parallel()
	label := simple(1, "").bytes()[512:1024]
	for n := range 6 {
		head := make([]byte, labelScanSectors*labelSize)
		if n < labelScanSectors {
			sector := head[n*labelSize:]
			copy(sector, label)
			le.PutUint64(sector[labelSectorXL:], uint64(n))
		}
		h, err := parseLabel(head)
		if (h != nil) != (n < labelScanSectors) || err != nil {
			t.Errorf("sector %d: %+v, %v", n, h, err)
		}
	}
}

func TestDamagedLabelsAreErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(label []byte)
		why    string
	}{
		"a checksum":      {func(l []byte) { l[100]++ }, "checksum"},
		"another sector":  {func(l []byte) { le.PutUint64(l[labelSectorXL:], 7) }, "it is of sector 7"},
		"another type":    {func(l []byte) { copy(l[labelType:], "LVM3"); signLabel(l) }, `type "LVM3 001"`},
		"a far header":    {func(l []byte) { le.PutUint32(l[labelOffsetXL:], 500); signLabel(l) }, "pv_header at byte 500"},
		"an id":           {func(l []byte) { l[40] = '\n'; signLabel(l) }, `the character '\n'`},
		"a range":         {func(l []byte) { le.PutUint64(l[32+pvDiskAreasXL:], 1<<63); signLabel(l) }, "data areas: 0 bytes from byte 9223372036854775808 on"},
		"an endless list": {func(l []byte) { fill(l[32+pvDiskAreasXL+2*diskLocnBytes:]); signLabel(l) }, "metadata areas: the list does not end"},
	} {
		head := simple(1, "").bytes()[:2048]
		tt.change(head[512:1024])
		if h, err := parseLabel(head); h != nil || err == nil || !strings.Contains(err.Error(), "label in sector 1: ") || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

func fill(p []byte) {
	for i := range p {
		p[i] = 1
	}
}

func TestDamagedHeadersOfAreasAreErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(header []byte)
		why    string
	}{
		"magic":   {func(h []byte) { h[mdaMagic]++ }, "the header begins with"},
		"version": {func(h []byte) { h[mdaVersion]++ }, "version 2, not 1"},
		"start":   {func(h []byte) { h[mdaStart+1]++ }, "the header is of byte 4352"},
		"size":    {func(h []byte) { le.PutUint64(h[mdaSize:], 512) }, "the area has 512 bytes"},
		"end":     {func(h []byte) { le.PutUint64(h[mdaSize:], 1<<63) }, "the area has 9223372036854775808 bytes"},
	} {
		header := simple(1, group(1, 1)).bytes()[4096:][:mdaHeaderSize]
		tt.change(header)
		le.PutUint32(header, calcCRC(header[mdaMagic:]))
		if h, err := parseMDAHeader(header, diskLocn{4096, 1020 << 10}); h != nil || err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

func TestTextMustLieInItsArea(t *testing.T) {
	t.Parallel()
	d := memory(make([]byte, 1<<20))
	for _, l := range []rawLocn{{Offset: 511, Size: 1}, {Offset: 8192, Size: 1}, {Offset: 512, Size: 8192 - 511}, {Offset: 512, Size: 1 << 40}, {Offset: 1<<64 - 1, Size: 1<<64 - 1}} {
		h := &mdaHeader{Start: 4096, Size: 8192, Current: l}
		if _, err := h.readText(t.Context(), d.Reader); err == nil || !strings.Contains(err.Error(), "in an area of 8192 bytes") {
			t.Errorf("%+v: %v", l, err)
		}
	}
	h := &mdaHeader{Start: 1 << 20, Size: 8192, Current: rawLocn{Offset: 512, Size: 10}}
	if _, err := h.readText(t.Context(), d.Reader); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestFormerTextsAreFound(t *testing.T) {
	t.Parallel()
	path := pools.LVM(t)
	f, err := block.Open(path, block.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, warnings, err := Generations(t.Context(), Device{Path: path, In: block.At(path), Reader: f})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if len(list) == 0 || !list[0].Current || list[0].SeqNo != 15 || list[0].Group != "vg0" || list[0].ID != "DI14N4-JiMr-eo0t-LLd8-np6b-E0Td-sKczP5" ||
		list[0].Offset != 4096+0xa600 || list[0].CreationTime.Unix() != 1795476250 || !strings.Contains(list[0].Description, "lvcreate -y -n xfsvol") {
		t.Fatalf("%+v", list)
	}
	for i, g := range list {
		if want := uint32(15 - i); g.SeqNo != want || g.Current != (i == 0) {
			t.Errorf("generation %d: %+v", i, g)
		}
	}
	if len(list) != 15 {
		t.Errorf("%d generations", len(list))
	}
}

func TestOverwrittenTextsAreNotFound(t *testing.T) {
	t.Parallel()
	d := simple(1, group(3, 1, someVolume))
	d.areas[0].size, d.areas[0].offset = 16384, 16384-512 // it goes on at the beginning
	p := d.bytes()
	area := p[4096:]
	copy(area[4096:], group(1, 1, someVolume)+"\x00")
	copy(area[8192:], group(2, 1, someVolume)+"\x00")
	copy(area[4096+512:], strings.Repeat("x", 512))
	list, warnings, err := Generations(t.Context(), memory(p))
	if err != nil || len(warnings) > 0 || len(list) != 2 || list[0].SeqNo != 3 || !list[0].Current || list[1].SeqNo != 2 || list[1].Current || list[1].Offset != 4096+8192 {
		t.Errorf("%+v, %v, %v", list, warnings, err)
	}
}
