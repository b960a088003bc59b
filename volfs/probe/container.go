package probe

import (
	"fmt"
	"strings"
)

// probeLVM2 finds an LVM2 physical volume by its label in one of the first four
// sectors.
func probeLVM2(p *prober) *Signature {
	const start = 0xf597a6cf // of the checksum
	for sector := range int64(4) {
		b := p.at(sector*sectorBytes, sectorBytes)
		if b == nil || string(b[:8]) != "LABELONE" || string(b[24:32]) != "LVM2 001" ||
			le.Uint64(b[8:]) != uint64(sector) || crc32Raw(start, b[20:]) != le.Uint32(b[16:]) {
			continue
		}
		s := &Signature{Type: "LVM2_member", Version: "LVM2 001"}
		if off := le.Uint32(b[20:]); off >= 32 && off <= 512-40 {
			pv := b[off:]
			s.SizeBytes = product(le.Uint64(pv[32:]), 1)
			u := string(pv[:32])
			s.UUID = strings.Join([]string{u[:6], u[6:10], u[10:14], u[14:18], u[18:22], u[22:26], u[26:]}, "-")
		}
		return s
	}
	return nil
}

// probeLUKS finds the first header of LUKS 1 and 2.
func probeLUKS(p *prober) *Signature {
	b := p.at(0, 512)
	if b == nil || string(b[:6]) != "LUKS\xba\xbe" {
		return nil
	}
	version := be.Uint16(b[6:])
	s := &Signature{Type: "crypto_LUKS", Version: fmt.Sprint(version)}
	switch version {
	case 1:
		s.UUID = label(b[168:208])
	case 2:
		if be.Uint64(b[256:]) != 0 {
			return nil
		}
		s.UUID, s.Label = label(b[168:208]), label(b[24:72])
	}
	return s
}

// probeMD finds a member of a Linux software RAID (include/uapi/linux/raid/md_p.h):
// version 0.90 and 1.0 near the end, 1.1 at the start, 1.2 at 4 KiB.
func probeMD(p *prober) *Signature {
	const reserved = 64 << 10
	size := p.v.Size()
	if size > reserved {
		if s := p.md0(size&^(reserved-1) - reserved); s != nil {
			return s
		}
		if s := p.md1(size&^4095-8192, "1.0"); s != nil {
			return s
		}
	}
	if s := p.md1(0, "1.1"); s != nil {
		return s
	}
	return p.md1(4096, "1.2")
}

const mdMagic = 0xa92b4efc

func (p *prober) md0(off int64) *Signature {
	const reserved = 64 << 10
	b := p.at(off, 64)
	if b == nil {
		return nil
	}
	order := binaryOrder(b, mdMagic)
	if order == nil {
		return nil
	}
	major, minor, patch := order.Uint32(b[4:]), order.Uint32(b[8:]), order.Uint32(b[12:])
	used := int64(order.Uint32(b[32:])) << 10
	// The superblock of a RAID in the last partition may be here too.
	if p.v.Size() < used+reserved || off < used || p.partitions.covers(off-used, used+reserved) {
		return nil
	}
	var uuid [16]byte
	for i, at := range []int{20, 52, 56, 60} {
		if i == 0 || minor >= 90 {
			be.PutUint32(uuid[4*i:], order.Uint32(b[at:]))
		}
	}
	return &Signature{
		Type: "linux_raid_member", Version: fmt.Sprintf("%d.%d.%d", major, minor, patch), UUID: dashed(uuid[:]),
	}
}

func (p *prober) md1(off int64, version string) *Signature {
	const maxDevices = 1920 // as many as fill the 4 KiB of the superblock
	b := p.at(off, 256)
	if b == nil || le.Uint32(b) != mdMagic || le.Uint32(b[4:]) != 1 || le.Uint64(b[144:]) != uint64(off)>>9 {
		return nil
	}
	devices := le.Uint32(b[220:])
	if devices > maxDevices {
		return nil
	}
	b = p.at(off, 256+2*int(devices))
	if b == nil {
		return nil
	}
	sum := -uint64(le.Uint32(b[216:]))
	rest := b
	for ; len(rest) >= 4; rest = rest[4:] {
		sum += uint64(le.Uint32(rest))
	}
	if len(rest) == 2 {
		sum += uint64(le.Uint16(rest))
	}
	if uint32(sum>>32)+uint32(sum) != le.Uint32(b[216:]) {
		return nil
	}
	return &Signature{Type: "linux_raid_member", Version: version, Label: label(b[32:64]), UUID: dashed(b[16:32])}
}

// probeSnapshotCOW finds the exceptions of a device-mapper snapshot.
func probeSnapshotCOW(p *prober) *Signature {
	if !p.has(0, "SnAp") {
		return nil
	}
	return &Signature{Type: "DM_snapshot_cow"}
}

// probeVerity finds the hash tree of dm-verity.
func probeVerity(p *prober) *Signature {
	b := p.at(0, 512)
	if b == nil || string(b[:8]) != "verity\x00\x00" || le.Uint32(b[8:]) != 1 {
		return nil
	}
	return &Signature{Type: "DM_verity_hash", Version: "1", UUID: dashed(b[16:32])}
}

// probeIntegrity finds dm-integrity.
func probeIntegrity(p *prober) *Signature {
	b := p.at(0, 512)
	if b == nil || string(b[:8]) != "integrt\x00" || b[8] == 0 {
		return nil
	}
	return &Signature{Type: "DM_integrity", Version: fmt.Sprint(b[8])}
}

// probeVDO finds a VDO volume.
func probeVDO(p *prober) *Signature {
	b := p.at(0, 56)
	if b == nil || string(b[:8]) != "dmvdo001" {
		return nil
	}
	return &Signature{Type: "vdo", UUID: dashed(b[40:56])}
}

// probeStratis finds a member of a Stratis pool by either signature block. The
// UUID is the device's.
func probeStratis(p *prober) *Signature {
	for _, sector := range []int64{1, 9} {
		b := p.at(sector*sectorBytes, sectorBytes)
		if b == nil || string(b[4:20]) != "!Stra0tis\x86\xff\x02^\x41rh" || crc32c(b[4:]) != le.Uint32(b) {
			continue
		}
		u := string(b[64:96])
		return &Signature{
			Type: "stratis", UUID: strings.Join([]string{u[:8], u[8:12], u[12:16], u[16:20], u[20:]}, "-"),
			SizeBytes: product(le.Uint64(b[20:]), 512),
		}
	}
	return nil
}
