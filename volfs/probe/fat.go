package probe

import (
	"bytes"
	"fmt"
	"strings"
)

// fatBoot is a FAT boot sector with possible values.
type fatBoot struct {
	b                     []byte // 512 bytes
	sectorSize, cluster   uint32 // bytes, sectors
	reserved, fats        uint32 // sectors of the reserved area, of all FATs
	rootEntries, clusters uint32
	sectors               uint32
	is32                  bool
}

const (
	fat12Max = 0xff4
	fat16Max = 0xfff4
	fat32Max = 0x0ffffff6
)

// fatBootSector checks the first sector by Microsoft's FAT specification.
func (p *prober) fatBootSector() *fatBoot {
	b := p.at(0, 512)
	if b == nil {
		return nil
	}
	named := bytes.HasPrefix(b[0x52:], []byte("MSWIN")) || bytes.HasPrefix(b[0x52:], []byte("FAT32   "))
	for _, name := range []string{"MSDOS", "FAT16   ", "FAT12   ", "FAT     "} {
		named = named || bytes.HasPrefix(b[0x36:], []byte(name))
	}
	if !named {
		// OS/2 puts a boot sector of this form before JFS and HPFS.
		if b[510] != 0x55 || b[511] != 0xaa || string(b[0x36:0x3e]) == "JFS     " || string(b[0x36:0x3e]) == "HPFS    " {
			return nil
		}
	}
	f := &fatBoot{
		b: b, sectorSize: uint32(le.Uint16(b[0x0b:])), cluster: uint32(b[0x0d]),
		reserved: uint32(le.Uint16(b[0x0e:])), rootEntries: uint32(le.Uint16(b[0x11:])),
		sectors: uint32(le.Uint16(b[0x13:])),
	}
	if f.sectors == 0 {
		f.sectors = le.Uint32(b[0x20:])
	}
	perFAT := uint64(le.Uint16(b[0x16:]))
	if perFAT == 0 {
		perFAT = uint64(le.Uint32(b[0x24:]))
		f.is32 = perFAT != 0
	}
	media := b[0x15]
	if b[0x10] == 0 || f.reserved == 0 || media < 0xf8 && media != 0xf0 || !powerOf2(f.cluster) ||
		!powerOf2(f.sectorSize) || f.sectorSize < 512 || f.sectorSize > 4096 {
		return nil
	}
	fats := perFAT * uint64(b[0x10])
	used := uint64(f.reserved) + fats + (uint64(f.rootEntries)*32+uint64(f.sectorSize)-1)/uint64(f.sectorSize)
	if used > uint64(f.sectors) {
		return nil
	}
	f.fats = uint32(fats)
	f.clusters = uint32((uint64(f.sectors) - used) / uint64(f.cluster))
	limit := uint32(fat16Max)
	if f.is32 {
		limit = fat32Max
	}
	if f.clusters > limit || p.bitLocker() != nil {
		return nil
	}
	return f
}

func powerOf2(n uint32) bool { return n != 0 && n&(n-1) == 0 }

// probeFAT finds FAT12, FAT16 and FAT32, all of which blkid calls vfat.
func probeFAT(p *prober) *Signature {
	f := p.fatBootSector()
	if f == nil {
		return nil
	}
	s := &Signature{Type: "vfat", SizeBytes: product(uint64(f.sectors), uint64(f.sectorSize))}
	switch {
	case f.is32:
		if !p.fat32Info(f) {
			return nil
		}
		s.Version, s.UUID, s.Label = "FAT32", fatSerial(f.b[0x43:]), p.fat32Label(f)
	case le.Uint16(f.b[0x16:]) != 0:
		s.Version = "FAT16"
		if f.clusters < fat12Max {
			s.Version = "FAT12"
		}
		if sign := f.b[0x26]; sign == 0x28 || sign == 0x29 {
			s.UUID = fatSerial(f.b[0x27:])
		}
		root := int64(f.reserved+f.fats) * int64(f.sectorSize)
		s.Label, _ = fatLabel(p.upTo(root, int(f.rootEntries)*32))
	}
	return s
}

func fatSerial(b []byte) string {
	if isZero(b[:4]) {
		return ""
	}
	return fmt.Sprintf("%02X%02X-%02X%02X", b[3], b[2], b[1], b[0])
}

// fat32Info checks the FSInfo sector. Some tools leave it zero.
func (p *prober) fat32Info(f *fatBoot) bool {
	sector := le.Uint16(f.b[0x30:])
	if sector == 0 {
		return true
	}
	b := p.at(int64(sector)*int64(f.sectorSize), 512)
	if b == nil {
		return false
	}
	first, second := string(b[:4]), string(b[484:488])
	return (first == "RRaA" || first == "RRdA" || first == "\x00\x00\x00\x00") &&
		(second == "rrAa" || second == "\x00\x00\x00\x00")
}

// fat32Label looks for the label in the root folder's clusters.
func (p *prober) fat32Label(f *fatBoot) string {
	next := le.Uint32(f.b[0x2c:])
	for range 16 {
		if next < 2 || next-2 >= f.clusters {
			return ""
		}
		sector := int64(f.reserved) + int64(f.fats) + int64(next-2)*int64(f.cluster)
		name, end := fatLabel(p.upTo(sector*int64(f.sectorSize), int(f.cluster*f.sectorSize)))
		if end {
			return name
		}
		entry := p.at(int64(f.reserved)*int64(f.sectorSize)+int64(next)*4, 4)
		if entry == nil {
			return ""
		}
		next = le.Uint32(entry) & 0x0fffffff
	}
	return ""
}

// upTo is at for a folder, of which at most 64 KiB are read.
func (p *prober) upTo(off int64, n int) []byte { return p.at(off, min(n, 64<<10)) }

// fatLabel finds the volume's label in a folder. end says that the folder ends there, or
// that the label was found.
func fatLabel(dir []byte) (name string, end bool) {
	const volumeID, folder, longName = 0x08, 0x10, 0x0f
	for ; len(dir) >= 32; dir = dir[32:] {
		attr := dir[11]
		switch {
		case dir[0] == 0:
			return "", true
		case dir[0] == 0xe5, attr&0x3f == longName, le.Uint16(dir[20:]) != 0, le.Uint16(dir[26:]) != 0:
		case attr&(volumeID|folder) == volumeID:
			raw := append([]byte(nil), dir[:11]...)
			if raw[0] == 0x05 {
				raw[0] = 0xe5
			}
			return label(raw), true
		}
	}
	return "", dir == nil
}

// exFATBoot checks the boot region by Microsoft's exFAT specification.
func (p *prober) exFATBoot() []byte {
	b := p.at(0, 512)
	if b == nil || !strings.HasPrefix(string(b), "\xeb\x76\x90EXFAT   ") || !isZero(b[11:64]) || b[510] != 0x55 || b[511] != 0xaa {
		return nil
	}
	sectorShift, clusterShift, fats := b[108], b[109], uint64(b[110])
	fat, fatLength, heap := uint64(le.Uint32(b[80:])), uint64(le.Uint32(b[84:])), uint64(le.Uint32(b[88:]))
	root, clusters := uint64(le.Uint32(b[96:])), uint64(le.Uint32(b[92:]))
	if sectorShift < 9 || sectorShift > 12 || clusterShift > 25-sectorShift || fats < 1 || fats > 2 ||
		fat < 24 || heap < fat+fatLength*fats || heap > 1<<31 || root < 2 || root > clusters+1 {
		return nil
	}
	sectorSize := 1 << sectorShift
	region := p.at(0, 12*sectorSize)
	if region == nil {
		return nil
	}
	var sum uint32
	for i, c := range region[:11*sectorSize] {
		if i != 106 && i != 107 && i != 112 { // VolumeFlags, PercentInUse
			sum = sum<<31 | sum>>1
			sum += uint32(c)
		}
	}
	for stored := region[11*sectorSize:]; len(stored) > 0; stored = stored[4:] {
		if le.Uint32(stored) != sum {
			return nil
		}
	}
	return b
}

// probeExFAT finds exFAT.
func probeExFAT(p *prober) *Signature {
	b := p.exFATBoot()
	if b == nil {
		return nil
	}
	return &Signature{
		Type: "exfat", Version: fmt.Sprintf("%d.%d", b[105], b[104]), Label: p.exFATLabel(b), UUID: fatSerial(b[100:]),
		SizeBytes: product(le.Uint64(b[72:]), 1<<b[108]),
	}
}

// exFATLabel looks for the label in the root folder's clusters.
func (p *prober) exFATLabel(b []byte) string {
	const endOfFolder, volumeLabel = 0, 0x83
	sectorShift, clusterShift := b[108], b[109]
	cluster := le.Uint32(b[96:])
	for range 16 {
		if cluster < 2 || cluster > 0xffffff6 {
			return ""
		}
		sector := uint64(le.Uint32(b[88:])) + uint64(cluster-2)<<clusterShift
		dir := p.upTo(int64(sector<<sectorShift), 1<<(sectorShift+clusterShift))
		if dir == nil {
			return ""
		}
		for ; len(dir) >= 32; dir = dir[32:] {
			switch dir[0] {
			case endOfFolder:
				return ""
			case volumeLabel:
				return label16(dir[2:2+min(2*int(dir[1]), 22)], le)
			}
		}
		entry := p.at(int64(le.Uint32(b[80:]))<<sectorShift+int64(cluster)*4, 4)
		if entry == nil {
			return ""
		}
		cluster = le.Uint32(entry)
	}
	return ""
}
