package probe

import (
	"encoding/binary"
	"fmt"
)

// probeMinix finds Minix 1 to 3 of either byte order (fs/minix). Its magic is short, so its
// sizes must fit, and no other superblock may be in the same place.
func probeMinix(p *prober) *Signature {
	sb := p.at(1024, 32)
	if sb == nil || p.has(1024+0x38, "\x53\xef") || p.has(1024, "\xe2\xe1\xf5\xe0") {
		return nil
	}
	for _, order := range []binary.ByteOrder{le, be} {
		u16 := func(off int) uint64 { return uint64(order.Uint16(sb[off:])) }
		u32 := func(off int) uint64 { return uint64(order.Uint32(sb[off:])) }
		var version int
		inodes, zones, imap, zmap, first, zoneLog, blockSize := u16(0), u32(20), u16(4), u16(6), u16(8), u16(10), uint64(1024)
		switch magic := u16(16); {
		case magic == 0x137f || magic == 0x138f:
			version, zones = 1, u16(2)
		case magic == 0x2468 || magic == 0x2478:
			version = 2
		case u16(24) == 0x4d5a:
			version = 3
			inodes, imap, zmap, first, zoneLog, blockSize = u32(0), u16(6), u16(8), u16(10), u16(12), u16(28)
		default:
			continue
		}
		if version < 3 && u16(18)&^3 != 0 || // s_state
			zoneLog != 0 || inodes == 0 || inodes == 1<<32-1 || imap*8192 < inodes+1 ||
			first > zones || zmap*8192 < zones-first+1 {
			return nil
		}
		return &Signature{Type: "minix", Version: fmt.Sprint(version), SizeBytes: product(zones, blockSize)}
	}
	return nil
}

// probeUFS finds UFS 1 and 2 of either byte order (fs/ufs/ufs_fs.h, struct
// ufs_super_block).
func probeUFS(p *prober) *Signature {
	const ufs2 = 0x19540119
	for _, kib := range []int64{0, 8, 64, 256} {
		sb := p.at(kib<<10, 1380)
		if sb == nil {
			return nil
		}
		for _, order := range []binary.ByteOrder{le, be} {
			magic := order.Uint32(sb[1372:])
			switch magic {
			case ufs2, 0x00011954, 0x00195612, 0x00095014, 0x00612195, 0x05231994:
			default:
				continue
			}
			s := &Signature{Type: "ufs", Version: "1"}
			if !isZero(sb[144:152]) {
				s.UUID = fmt.Sprintf("%08x%08x", order.Uint32(sb[144:]), order.Uint32(sb[148:]))
			}
			fragments := uint64(order.Uint32(sb[36:]))
			if magic == ufs2 {
				s.Version, s.Label = "2", label(sb[680:712])
				fragments = order.Uint64(sb[1080:])
			}
			s.SizeBytes = product(fragments, uint64(order.Uint32(sb[52:])))
			return s
		}
	}
	return nil
}

// probeGFS finds GFS and GFS2 (include/uapi/linux/gfs2_ondisk.h, struct
// gfs2_sb).
func probeGFS(p *prober) *Signature {
	sb := p.at(64<<10, 272)
	if sb == nil || string(sb[:4]) != "\x01\x16\x19\x70" {
		return nil
	}
	s := &Signature{Label: label(sb[160:224]), UUID: dashed(sb[256:272])}
	switch format, multihost := be.Uint32(sb[24:]), be.Uint32(sb[28:]); {
	case format == 1309 && multihost == 1401:
		s.Type = "gfs"
	case format/100 == 18 && multihost/100 == 19:
		s.Type, s.Version = "gfs2", "1"
	default:
		return nil
	}
	return s
}

// probeOCFS2 finds OCFS2 (fs/ocfs2/ocfs2_fs.h, struct ocfs2_dinode with struct
// ocfs2_super_block).
func probeOCFS2(p *prober) *Signature {
	for _, kib := range []int64{1, 2, 4, 8} {
		sb := p.at(kib<<10, 352)
		if sb == nil || string(sb[:6]) != "OCFSV2" {
			continue
		}
		s := &Signature{
			Type: "ocfs2", Version: fmt.Sprintf("%d.%d", le.Uint16(sb[192:]), le.Uint16(sb[194:])),
			Label: label(sb[272:336]), UUID: dashed(sb[336:352]),
		}
		if bits := le.Uint32(sb[252:]); bits < 32 {
			s.SizeBytes = product(uint64(le.Uint32(sb[20:])), 1<<bits)
		}
		return s
	}
	return nil
}
