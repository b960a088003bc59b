package lvm

import (
	"bytes"
	"context"
	"os"
	"testing"

	"thintree/meta"
	"thintree/tests/pools"
)

// realHead is the beginning of a real disk, with its metadata area.
func realHead(f *testing.F) []byte {
	f.Helper()
	file, err := os.Open(pools.LVM(f))
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	p := make([]byte, 64<<10)
	if _, err := file.Read(p); err != nil {
		f.Fatal(err)
	}
	return p
}

// realText is the text of a real group.
func realText(f *testing.F) []byte {
	text, _, _ := bytes.Cut(realHead(f)[4096+0xa600:], []byte{0})
	return text
}

func FuzzLabel(f *testing.F) {
	f.Add(realHead(f)[:2048], true)
	f.Add(simple(1, "").bytes()[:2048], false)
	f.Fuzz(func(t *testing.T, head []byte, right bool) {
		if right { // get past the checksum
			for n := 0; (n+1)*labelSize <= len(head); n++ {
				signLabel(head[n*labelSize:])
			}
		}
		h, _ := parseLabel(head)
		if h != nil && (len(h.PVUUID) != idLen+6 || len(h.DataAreas)+len(h.MetadataAreas) > labelSize/diskLocnBytes) {
			t.Fatalf("%+v", h)
		}
	})
}

func FuzzMetadataArea(f *testing.F) {
	head := realHead(f)
	f.Add(head[4096:8192], true)
	f.Add(simple(1, group(1, 1, someVolume)).bytes()[4096:8192], true)
	f.Fuzz(func(t *testing.T, area []byte, right bool) {
		if len(area) < mdaHeaderSize {
			return
		}
		if right {
			le.PutUint32(area, calcCRC(area[mdaMagic:mdaHeaderSize]))
		}
		at := diskLocn{Offset: le.Uint64(area[mdaStart:])}
		h, err := parseMDAHeader(area[:mdaHeaderSize], at)
		if err != nil {
			return
		}
		r := memory(area).Reader
		if p, err := h.readText(context.Background(), r); err == nil && uint64(len(p)) != h.Current.Size {
			t.Fatalf("%d bytes instead of %d", len(p), h.Current.Size)
		}
		h.Start = 0
		h.Size = min(h.Size, uint64(len(area)))
		if h.Size > mdaHeaderSize {
			h.generations(context.Background(), r)
		}
	})
}

// FuzzGroup locates the volumes of any text, on a disk that has all bytes of a superblock.
func FuzzGroup(f *testing.F) {
	f.Add(realText(f))
	f.Add([]byte(group(1, 2, lv("x", segment(4, "striped", `stripe_count = 2 stripe_size = 16 stripes = [ "pv1", 34, "pv2", 34 ]`)),
		lv("r", segment(3, "raid1", `device_count = 1 raids = [ "m", "x" ]`)), hidden("m", linear(0, 1, "pv1", 0)), poolVolumes, thin("t", 1, `origin = "x"`),
		lv("snapshot0", segment(2, "snapshot", `chunk_size = 8 origin = "x" cow_store = "r"`)))))
	f.Fuzz(func(t *testing.T, text []byte) {
		g, err := ParseGroup(text)
		if err != nil {
			return
		}
		d := memory(good(5).sector(0, 1))
		disks := make(map[string]*physical)
		for _, pv := range g.PhysicalVolumes {
			disks[pv.ID] = &physical{Device: d, r: d.Reader, label: &pvHeader{PVUUID: pv.ID}}
		}
		c := &meta.Catalog{}
		newLocator(g, disks).add(context.Background(), c, "memory")
		pools := map[string]bool{}
		for _, p := range c.Pools {
			pools[p.Name] = true
			if p.Metadata.IsNowhere() || p.Data.IsNowhere() {
				t.Fatalf("%+v", p)
			}
		}
		for _, v := range c.Volumes {
			ways := 0
			for _, is := range []bool{v.Lost != nil, v.Pool != "", !v.Plain.IsNowhere()} {
				if is {
					ways++
				}
			}
			if ways != 1 || v.SizeBytes < 0 || v.Pool != "" && !pools[v.Pool] {
				t.Fatalf("%+v", v)
			}
		}
	})
}
