package lvm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thintree/meta"
	"thintree/thin/block"
)

// disk describes a disk that is made for a test.
type disk struct {
	id    string // 32 characters
	size  int64
	areas []mda
	used  bool
}

// mda is a metadata area that is made for a test.
type mda struct {
	at, size uint64
	text     string
	offset   uint64 // of the text, 512 if it is 0
	flags    uint32
}

const (
	mib = 1 << 20

	extentSectors = 8192 // 4 MiB
	extentBytes   = extentSectors * 512
	peStart       = 2048
)

// pvID is the id of the nth disk.
func pvID(n int) string { return fmt.Sprintf("pv%030d", n) }

// dashed is an id as LVM shows it.
func dashed(id string) string {
	s, err := formatID([]byte(id))
	if err != nil {
		panic(err)
	}
	return s
}

// bytes makes the disk's contents, up to the end of the last area.
func (d disk) bytes() []byte {
	end := uint64(4096)
	for _, a := range d.areas {
		end = max(end, a.at+a.size)
	}
	p := make([]byte, end)
	label := p[512:1024]
	copy(label, labelID)
	le.PutUint64(label[labelSectorXL:], 1)
	le.PutUint32(label[labelOffsetXL:], 32)
	copy(label[labelType:], lvm2Label)
	pv := label[32:]
	copy(pv, d.id)
	le.PutUint64(pv[pvDeviceSizeXL:], uint64(d.size))
	at := pv[pvDiskAreasXL:]
	locn := func(offset, size uint64) {
		le.PutUint64(at, offset)
		le.PutUint64(at[8:], size)
		at = at[diskLocnBytes:]
	}
	locn(peStart*512, 0)
	locn(0, 0)
	for _, a := range d.areas {
		locn(a.at, a.size)
	}
	locn(0, 0)
	le.PutUint32(at, 2)
	if d.used {
		le.PutUint32(at[4:], 1)
	}
	le.PutUint32(label[labelCRCXL:], calcCRC(label[labelOffsetXL:]))
	for _, a := range d.areas {
		a.write(p[a.at:][:a.size])
	}
	return p
}

func (a mda) write(area []byte) {
	copy(area[mdaMagic:], fmttMagic)
	le.PutUint32(area[mdaVersion:], fmttVersion)
	le.PutUint64(area[mdaStart:], a.at)
	le.PutUint64(area[mdaSize:], a.size)
	if a.text != "" {
		a.offset = max(a.offset, 512)
		text := append([]byte(a.text), 0)
		n := copy(area[a.offset:], text)
		copy(area[mdaHeaderSize:], text[n:])
		l := area[mdaRawLocns:]
		le.PutUint64(l, a.offset)
		le.PutUint64(l[8:], uint64(len(text)))
		le.PutUint32(l[16:], calcCRC(text))
		le.PutUint32(l[20:], a.flags)
	}
	le.PutUint32(area, calcCRC(area[mdaMagic:mdaHeaderSize]))
}

// write makes an image of the disk.
func (d disk) write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), d.id)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(d.bytes())
	if err := errors.Join(err, f.Truncate(d.size), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// simple is a disk with one area, which has a text.
func simple(n int, text string) disk {
	return disk{id: pvID(n), size: 64 * extentBytes, areas: []mda{{at: 4096, size: 1020 << 10, text: text}}}
}

// group writes the text of a group "vg" with disks of 50 extents, which are named pv1, pv2, …
func group(seqno, disks int, volumes ...string) string {
	var pvs strings.Builder
	for n := 1; n <= disks; n++ {
		fmt.Fprintf(&pvs, "pv%d { id = %q device = \"/dev/sd%c\" status = [\"ALLOCATABLE\"] flags = [] dev_size = %d pe_start = %d pe_count = 50 }\n",
			n, dashed(pvID(n)), 'a'+n-1, 64*extentSectors, peStart)
	}
	return fmt.Sprintf("vg {\nid = %q seqno = %d format = \"lvm2\" status = [\"RESIZEABLE\", \"READ\", \"WRITE\"] flags = [] extent_size = %d max_lv = 0 max_pv = 0\n"+
		"physical_volumes {\n%s}\nlogical_volumes {\n%s}\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\ndescription = \"made by a test\"\n"+
		"creation_host = \"host\"\ncreation_time = %d\n", dashed("vg"+strings.Repeat("0", 30)), seqno, extentSectors, pvs.String(), strings.Join(volumes, ""), 1700000000+seqno)
}

// lv writes a visible volume, from its segments.
func lv(name string, segments ...string) string {
	return lvWith(name, `"READ", "WRITE", "VISIBLE"`, segments...)
}

// hidden writes a volume that is part of others.
func hidden(name string, segments ...string) string {
	return lvWith(name, `"READ", "WRITE"`, segments...)
}

func lvWith(name, status string, segments ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q {\nid = %q status = [%s] flags = [] creation_time = 1600000000 creation_host = \"maker\" segment_count = %d\n", name, lvID, status, len(segments))
	for i, s := range segments {
		fmt.Fprintf(&b, "segment%d { %s }\n", i+1, s)
	}
	return b.String() + "}\n"
}

const lvID = "abcdef-ghij-klmn-opqr-stuv-wxyz-012345"

// linear is a segment on one disk or volume.
func linear(start, count int, on string, extent int) string {
	return fmt.Sprintf("start_extent = %d extent_count = %d type = \"striped\" stripe_count = 1 stripes = [ %q, %d ]", start, count, on, extent)
}

// segment is a segment from extent 0 on.
func segment(count int, kind, rest string) string {
	return fmt.Sprintf("start_extent = 0 extent_count = %d type = %q %s", count, kind, rest)
}

// loadText loads a group from one disk or several, which all have the text.
func loadText(t testing.TB, text string, disks int) (c *meta.Catalog, paths []string) {
	t.Helper()
	for n := 1; n <= disks; n++ {
		paths = append(paths, simple(n, text).write(t))
	}
	c, err := New(paths...).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, paths
}

func volume(t testing.TB, c *meta.Catalog, name string) meta.Volume {
	t.Helper()
	for _, v := range c.Volumes {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no volume %s: %+v", name, c.Volumes)
	return meta.Volume{}
}

// pieces makes a Location.
func linearAt(t testing.TB, list ...block.Piece) block.Location {
	t.Helper()
	l, err := block.Linear(list...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// memory is a device in memory.
func memory(p []byte) Device {
	return Device{Path: "memory", In: block.At("memory"), Reader: reader{bytes.NewReader(p)}}
}
